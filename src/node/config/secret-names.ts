const SecretName =
  /pass(word|phrase)|secret|seed|psk|presharedkey|privatekey|credential|apikey|keymaterial|token/i

/**
 * Whether a value of this name must never be shown. A name that ends in `File` names where the secret lies,
 * which may be shown.
 */
export function isSecretName(name: string): boolean {
  return !/file$/i.test(name) && SecretName.test(name.replace(/[-_]/g, ''))
}

/** The text with the password of every URL in it hidden. */
export function maskUrlPasswords(text: string): string {
  return text.replace(/([a-z][a-z0-9+.-]*:\/\/[^/\s:@]*):[^/\s]*@/gi, '$1:***@')
}
