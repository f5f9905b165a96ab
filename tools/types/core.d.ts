// The part of PyScript's module that this site uses.
interface Hooks {
  onReady: Set<unknown>;
  onBeforeRun: Set<unknown>;
  onBeforeRunAsync: Set<unknown>;
  onAfterRun: Set<unknown>;
  onAfterRunAsync: Set<unknown>;
}

/** PyScript turns the worker's hooks into source text; the main thread's are called as they are. */
export const hooks: { main: Hooks; worker: Hooks };
