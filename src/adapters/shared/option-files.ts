/** Files that options name, read when the adapter is opened. No message repeats what is in them. */
import { UsageError } from '../../core/errors.js'

/**
 * @param adapter the adapter's name, for errors
 * @param option the option's name below it
 * @throws UsageError `<adapter>-file-unreadable`
 */
export async function readOptionFile(adapter: string, option: string, path: string): Promise<Buffer> {
  // Loaded here, since most adapters need no file.
  const { readFile } = await import('node:fs/promises')
  try {
    return await readFile(path)
  } catch (error) {
    throw new UsageError(`${adapter}-file-unreadable`, `adapters.${adapter}.${option}: cannot read ${path}`, {
      advice: 'Name a file that this user can read',
      cause: error,
    })
  }
}

/**
 * A secret that is given inline or as a file of one line.
 * @param option the inline option's name; the file's is the same with `File` behind it
 * @throws UsageError `<adapter>-<option>-twice` where both are there, `<adapter>-file-unreadable`
 */
export async function readSecretOption(
  adapter: string,
  option: string,
  { inline, file }: { readonly inline: string | undefined; readonly file: string | undefined },
): Promise<string | undefined> {
  if (file === undefined) return inline
  if (inline !== undefined) {
    const [short, long] = [`adapters.${adapter}.${option}`, `adapters.${adapter}.${option}File`]
    throw new UsageError(
      `${adapter}-${kebab(option)}-twice`,
      `${short} is given twice, inline and as a file`,
      { advice: `Keep one of ${short} and ${long}` },
    )
  }
  const text = (await readOptionFile(adapter, `${option}File`, file)).toString('utf8')
  return text.replace(/\r?\n$/, '')
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}
