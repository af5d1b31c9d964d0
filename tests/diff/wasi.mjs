// SPDX-License-Identifier: Apache-2.0
// node wasi.mjs FILE.wasm: runs a program as a command; its exit code is the program's.
import { WASI } from 'node:wasi'
import { readFileSync } from 'node:fs'

// importObject by hand: Debian 12 has node 18, without getImportObject().
const wasi = new WASI({ version: 'preview1', args: ['program'], env: {}, returnOnExit: true })
const module = new WebAssembly.Module(readFileSync(process.argv[2]))
process.exitCode = wasi.start(new WebAssembly.Instance(module, { wasi_snapshot_preview1: wasi.wasiImport }))
