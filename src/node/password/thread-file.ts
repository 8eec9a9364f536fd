/** Where the thread's program lies: beside this file in the library, and bundled beside the command. */
export const threadFile: URL | string = new URL('./thread.js', import.meta.url)
