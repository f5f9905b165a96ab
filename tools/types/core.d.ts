// The part of PyScript's module that this site uses.
interface WorkerHooks {
  /** Hooks that PyScript turns into source text for its workers. */
  onBeforeRunAsync: Set<unknown>;
}

export const hooks: { worker: WorkerHooks };
