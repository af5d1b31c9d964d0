// SPDX-License-Identifier: Apache-2.0
// node bombs.mjs DIR: modules that are valid, small for what they cost, and made to exhaust a compiler. One FILE.wasm each.
import { writeFileSync } from 'node:fs'

const dir = process.argv[2]
const I32 = 0x7f, F64 = 0x7c, V128 = 0x7b

const leb = n => n < 128 ? [n] : [n & 127 | 128, ...leb(Math.floor(n / 128))]
const signed = n => n >= -64 && n < 64 ? [n & 127] : [n & 127 | 128, ...signed(n >> 7)]
// Parts are arrays of bytes or buffers; never spread, they are large.
const join = parts => Buffer.concat(parts.map(p => Buffer.isBuffer(p) ? p : Buffer.from(p)))
const vec = items => join([leb(items.length), ...items])
const section = (id, body) => join([[id], leb(body.length), body])
const repeat = (n, f) => join(Array.from({ length: n }, (_, i) => f(i)))
const sized = body => join([leb(body.length), body])
const func = (locals, ...code) => sized(join([vec(locals.map(([n, t]) => [...leb(n), t])), ...code, [0x0b]]))
const name = s => sized(Buffer.from(s))

const types = [[0x60, 0, 0], [0x60, 1, I32, 1, I32], [0x60, 0, 1, I32]]
// bodies: [type, body]...; parts: more sections by id
function module(bodies, parts = {}) {
	const all = {
		1: vec(types), 3: vec(bodies.map(([t]) => [t])), 5: Buffer.from([1, 0, 1]),
		7: vec([join([name('f'), [0, 0]])]), 10: vec(bodies.map(([, b]) => b)), ...parts,
	}
	const order = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 10, 11]
	return join([Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]), ...order.filter(id => all[id]).map(id => section(id, all[id]))])
}
const const32 = n => [0x41, ...signed(n)]
const get = [0x20, 0]
const one = (...code) => module([[1, func([], ...code)]])
const rnd = i => Math.imul(i + 1, 2654435761) >>> 8 & 0xffff

const functions = n => module(Array.from({ length: n }, () => [0, [2, 0, 0x0b]]))
const exported = n => module([[0, [2, 0, 0x0b]]], { 7: vec(Array.from({ length: n }, (_, i) => join([name('e' + i), [0, 0]]))) })
const table = n => one(repeat(3, () => [0x02, 0x40]), get,
	[0x0e], vec(Array.from({ length: n }, (_, i) => [rnd(i) % 3])), [0], [0x0b, 0x0b, 0x0b], get)
const blocks = n => one(repeat(n, () => [0x02, 0x40]), repeat(n, () => [0x0b]), get)

const bombs = {
	// x = x op constant, 400 kB of it
	'straight line of arithmetic': () => one(get, repeat(80000, i => [...const32(rnd(i)), [0x6a, 0x6c, 0x73, 0x6b][i & 3]])),
	'straight line with locals': () => module([[1, func([[16, I32]],
		repeat(40000, i => [0x20, rnd(i) % 17, 0x20, rnd(i + 7) % 17, [0x6a, 0x6c, 0x73, 0x6b][i & 3], 0x21, rnd(i + 3) % 17]), get)]]),
	'loads, each the address of the next': () => one(get, repeat(33000, () => [0x28, 2, 0])),
	'loads and stores of everywhere': () => one(repeat(20000, i => [...get, ...get, 0x28, 2, ...leb(rnd(i)), 0x36, 2, ...leb(rnd(i + 9))]), get),
	'twenty thousand functions': () => module(Array.from({ length: 20000 }, (_, i) => [1, func([], get, const32(i), [0x6a])])),
	'a hundred thousand functions': () => functions(100000),
	'a million functions': () => functions(1000000),
	'a hundred thousand exports': () => exported(100000),
	'a million exports': () => exported(1000000),
	'fifty thousand locals': () => module([[1, func([[49999, I32]],
		repeat(20000, i => [0x20, ...leb(rnd(i) % 50000), ...const32(i), 0x6a, 0x21, ...leb(rnd(i + 1) % 50000)]), get)]]),
	'fifty thousand locals in a hundred functions': () => module(Array.from({ length: 100 }, () => [1, func([[49999, V128]], get)])),
	'a br_table to ten thousand blocks': () => one(repeat(9990, () => [0x02, 0x40]), get, [0x0e], vec(Array.from({ length: 9990 }, (_, i) => leb(i))), [0],
		repeat(9990, i => [0x0b, ...get, ...const32(i), 0x6a, 0x21, 0]), get),
	'a br_table of sixty thousand entries': () => table(60000),
	'a br_table of a million entries': () => table(1000000),
	'a thousand br_tables': () => one(repeat(1000, i => join([[0x02, 0x40, 0x02, 0x40], get,
		[0x0e], vec(Array.from({ length: 300 }, (_, k) => [rnd(i * 300 + k) & 1])), [0, 0x0b, 0x0b]])), get),
	'ten thousand blocks in blocks': () => blocks(9990),
	'a hundred thousand blocks in blocks': () => blocks(100000),
	'loops in loops': () => one(repeat(2000, () => [0x03, 0x40]), repeat(2000, () => [...get, 0x0d, 0, 0x0b]), get),
	'loops behind loops': () => one(repeat(10000, () => [0x03, 0x40, ...get, ...const32(1), 0x6b, 0x22, 0, 0x0d, 0, 0x0b]), get),
	'ifs in ifs': () => one(repeat(9990, () => [...get, 0x04, 0x40]), repeat(9990, () => [0x05, 0x0b]), get),
	'ifs with results in ifs': () => one(repeat(5000, () => [...get, 0x04, I32]), get, repeat(5000, i => [0x05, ...const32(i), 0x0b])),
	'phis: locals set in many branches': () => module([[1, func([[200, I32]],
		repeat(5000, i => [...get, 0x04, 0x40, ...const32(i), 0x21, ...leb(1 + rnd(i) % 200), 0x0b]), get)]]),
	'calls, each of the next twice': () => module(Array.from({ length: 60 }, (_, i) =>
		[1, i < 59 ? func([], get, [0x10, i + 1], get, [0x10, i + 1, 0x6a]) : func([], get)])),
	'calls of everything from everywhere': () => module(Array.from({ length: 300 }, (_, i) =>
		[1, func([], get, repeat(300, k => [0x10, ...leb((i + k) % 300)]))])),
	'a thousand parameters': () => module([[0, func([], repeat(500, () => join([repeat(1000, () => const32(1)), [0x10, 1]])))], [3, func([])]],
		{ 1: vec([...types, join([[0x60], leb(1000), Buffer.alloc(1000, I32), [0]])]) }),
	'a data segment of thirty megabytes': () => module([[0, func([])]],
		{ 5: Buffer.from([1, 0, ...leb(1000)]), 11: join([[1, 0, 0x41, 0, 0x0b], sized(Buffer.alloc(30 << 20, 'data'))]) }),
	'a hundred thousand data segments': () => module([[0, func([])]],
		{ 11: join([leb(100000), repeat(100000, i => [0, ...const32(rnd(i) % 60000), 0x0b, 1, i & 127])]) }),
	'a million elements': () => module([[0, func([])]],
		{ 4: Buffer.from([1, 0x70, 0, ...leb(1000000)]), 9: join([[1, 0, 0x41, 0, 0x0b], leb(1000000), Buffer.alloc(1000000)]) }),
	'vector constants': () => one(repeat(20000, i => join([[0xfd, 0x0c], repeat(16, k => [rnd(i * 16 + k) & 255]), [0x1a]])), get),
	'vector shuffles of shuffles': () => one([...get, 0xfd, 0x11], repeat(8000, i => join([[...get, 0xfd, 0x11, 0xfd, 0x0d], repeat(16, k => [rnd(i * 16 + k) & 31])])), [0xfd, 0x1b, 0]),
	'float expressions without end': () => module([[1, func([[1, F64]], repeat(30000, i => [0x20, 1, 0x44, 0, 0, 0, 0, 0, 0, i & 255, 0x40, [0xa0, 0xa2, 0xa1, 0xa3][i & 3], 0x21, 1]), get)]]),
	'divisions': () => one(get, repeat(20000, i => [...get, 0x6d + (i & 3)])),
	'globals': () => module([[1, func([], repeat(30000, i => [0x23, ...leb(rnd(i) % 9000), ...get, 0x6a, 0x24, ...leb(rnd(i + 5) % 9000)]), get)]],
		{ 6: vec(Array.from({ length: 9000 }, () => [I32, 1, 0x41, 0, 0x0b])) }),
	'a sum of a stack of a hundred thousand': () => one(repeat(100000, () => get), repeat(99999, () => [0x6a])),
}

for (const [title, make] of Object.entries(bombs))
	writeFileSync(`${dir}/${title}.wasm`, make())
