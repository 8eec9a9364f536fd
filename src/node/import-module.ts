/**
 * Imports a module that is not part of gonet. It stands alone since the build turns every other import of the
 * command's into a `require`, which would not do for a module with an `await` at its top (scripts/build.mjs).
 * @param url of a file
 */
export function importModule(url: string): Promise<unknown> {
  return import(url)
}
