/** Where the child's program lies: beside this file in the library, and bundled beside the command. */
export const childFile: URL | string = new URL('./namespace-child.js', import.meta.url)
