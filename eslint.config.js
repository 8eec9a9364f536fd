import { defineConfig } from 'eslint/config'
import tseslint from 'typescript-eslint'

/** Protocol machines get time, randomness and sockets as arguments (docs/decisions/0001). */
const pure = {
  'no-restricted-globals': [
    'error',
    ...[
      'Date',
      'performance',
      'setTimeout',
      'setInterval',
      'setImmediate',
      'process',
      'Buffer',
      'crypto',
    ].map((name) => ({ name, message: 'Machines are sans-IO: take it as an argument (src/core/ports.ts).' })),
  ],
  'no-restricted-properties': [
    'error',
    { object: 'Math', property: 'random', message: 'Take a Random (src/core/ports.ts).' },
  ],
  'no-restricted-imports': [
    'error',
    { patterns: [{ group: ['node:*'], message: 'Machines are sans-IO: src/node does the I/O.' }] },
  ],
}

export default defineConfig(
  { ignores: ['dist/', 'node_modules/', '.test/'] },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: true }],
      'no-console': 'error',
    },
  },
  { files: ['src/core/**', 'src/transports/**', 'src/chat/**', 'src/room/**'], rules: pure },
  { files: ['test/**'], rules: { '@typescript-eslint/no-non-null-assertion': 'off' } },
)
