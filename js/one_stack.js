/**
 * Keep Python on the page's own stack. Imported before the interpreter is.
 *
 * Where the browser can suspend WebAssembly, Pyodide runs every task of Python's event loop on a stack of its own, so that
 * Python may wait inside a synchronous call. Nothing here does. And Chromium 156 was seen to end the whole page: its dumps
 * show the main thread on such a stack, reading past the end of it. Other users of Pyodide saw pages end that way:
 * https://github.com/pyodide/pyodide/issues/6106
 */

for (const name of ["Suspending", "promising"]) Reflect.deleteProperty(WebAssembly, name);
