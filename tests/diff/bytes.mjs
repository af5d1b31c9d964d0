// SPDX-License-Identifier: Apache-2.0
// node bytes.mjs SEED FIRST COUNT DIR: DIR/ID.seed for each module, the bytes that wasm-opt -ttf makes it from.
// The same SEED and ID give the same bytes, whatever else is made in that run.
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'

const [seed, first, count, dir] = process.argv.slice(2)
for (let id = +first; id < +first + +count; id++) {
	const blocks = []
	for (let i = 0; i < 240; i++)
		blocks.push(createHash('sha256').update(`${seed}:${id}:${i}`).digest())
	const bytes = Buffer.concat(blocks)
	// Mostly small ones, some large: what a small one finds is easier to understand.
	const part = bytes.readUInt16LE(0) / 65536
	writeFileSync(`${dir}/${id}.seed`, bytes.subarray(0, 200 + Math.floor(part ** 3 * 7400)))
}
