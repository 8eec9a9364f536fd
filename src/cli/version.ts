/** Put in place by the build: package.json's. */
declare const __GONET_VERSION__: string

export const version: string = __GONET_VERSION__
