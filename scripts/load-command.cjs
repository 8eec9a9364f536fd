// Part of dist/bin/gonet.js: all the rest of the command, which lies beside it.
module.exports = require('./load-cached.cjs')(__dirname, 'command', require)
