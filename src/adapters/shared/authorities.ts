/** The certificate authorities that an option names, read when the adapter is opened. */
import { UsageError } from '../../core/errors.js'
import { readOptionFile } from './option-files.js'

/**
 * @param adapter the adapter's name; the option is its `ca`
 * @param path undefined where nothing is configured: then the usual authorities count
 * @throws UsageError `<adapter>-file-unreadable`, `<adapter>-file-wrong`
 */
export async function readAuthorities(
  adapter: string,
  path: string | undefined,
): Promise<Buffer | undefined> {
  if (path === undefined) return undefined
  const bytes = await readOptionFile(adapter, 'ca', path)
  // OpenSSL takes a file without any certificate for an empty list, and would then trust nobody.
  if (!bytes.includes('-----BEGIN CERTIFICATE-----')) {
    throw new UsageError(
      `${adapter}-file-wrong`,
      `adapters.${adapter}.ca: ${path} has no certificate in PEM form`,
    )
  }
  return bytes
}
