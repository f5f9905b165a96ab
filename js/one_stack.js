/**
 * Keep Python on the page's own stack. Imported before the interpreter is.
 *
 * Where the browser can suspend WebAssembly, Pyodide runs every task of Python's event loop on a stack of its own, so that
 * Python may wait inside a synchronous call. Nothing here does. And Chromium 156 was seen to end the whole page when it
 * collected garbage meanwhile: it looked for objects beyond that stack's end. Other users of Pyodide met the same:
 * https://github.com/pyodide/pyodide/issues/6106
 */

for (const name of ["Suspending", "promising"]) Reflect.deleteProperty(WebAssembly, name);
