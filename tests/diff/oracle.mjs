// SPDX-License-Identifier: Apache-2.0
// node oracle.mjs FILE.wasm...: calls what each module exports and writes FILE.want:
//	call NAME TYPE BITS...		then for each: what it logged, its results or its trap, and a sum of the memory
//	stored SUM			the memory after a trap
// JavaScript cannot pass a v128: an adapter module passes two i64 for it, in both directions.
import { readFileSync, writeFileSync } from 'node:fs'

const names = { 0x7f: 'i32', 0x7e: 'i64', 0x7d: 'f32', 0x7c: 'f64', 0x7b: 'v128' }
const V128 = 0x7b, I64 = 0x7e
const view = new DataView(new ArrayBuffer(8))

// ---- the parts of a module that say which functions there are ----

class Reader {
	constructor(bytes) { this.bytes = bytes; this.at = 0 }
	byte() { return this.bytes[this.at++] }
	u32() {
		let value = 0
		for (let shift = 0; ; shift += 7) {
			const b = this.byte()
			value += (b & 0x7f) * 2 ** shift
			if (b < 0x80)
				return value
		}
	}
	list(read) { return Array.from({ length: this.u32() }, read) }
	take(n) { return this.bytes.subarray(this.at, this.at += n) }
	name() { return Buffer.from(this.take(this.u32())).toString() }
}

// [{ name, params, results }] of the exported functions. wasm-opt -ttf imports functions only.
function exportedFunctions(bytes) {
	const r = new Reader(bytes)
	let types = [], funcs = [], exports = []
	r.take(8)
	while (r.at < bytes.length) {
		const id = r.byte(), size = r.u32(), s = new Reader(r.take(size))
		if (id === 1)
			types = s.list(() => (s.byte(), { params: s.list(() => s.byte()), results: s.list(() => s.byte()) }))
		else if (id === 2)
			funcs = s.list(() => (s.name(), s.name(), s.byte(), s.u32()))
		else if (id === 3)
			funcs = funcs.concat(s.list(() => s.u32()))
		else if (id === 7)
			exports = s.list(() => ({ name: s.name(), kind: s.byte(), index: s.u32() }))
	}
	return exports.filter(e => e.kind === 0).map(e => ({ name: e.name, ...types[funcs[e.index]] }))
}

// ---- adapters: (v128, ...) becomes (i64, i64, ...), low half first ----

const leb = n => n < 128 ? [n] : [n & 127 | 128, ...leb(n >> 7)]
const vec = items => [...leb(items.length), ...items.flat()]
const section = (id, items) => [id, ...leb(vec(items).length), ...vec(items)]
const text = s => vec([...Buffer.from(s)])
const split = types => types.flatMap(t => t === V128 ? [I64, I64] : [t])
const join = at => [0x20, ...leb(at), 0xfd, 18, 0x20, ...leb(at + 1), 0xfd, 30, 1] // i64x2.splat, replace_lane 1
const halves = at => [0x20, ...leb(at), 0xfd, 29, 0, 0x20, ...leb(at), 0xfd, 29, 1] // extract_lane

// A module that exports `e`, taking and giving `outer`, and calls the import `i`, which takes and gives `inner`.
function adapter(inner, outer, locals, body) {
	const type = t => [0x60, ...vec(t.params), ...vec(t.results)]
	const code = [...vec(locals.map(t => [1, t])), ...body, 0x0b]
	return new WebAssembly.Module(new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
		...section(1, [type(inner), type(outer)]), ...section(2, [[...text('i'), ...text('i'), 0, 0]]),
		...section(3, [[1]]), ...section(7, [[...text('e'), 0, 1]]), ...section(10, [[...leb(code.length), ...code]])]))
}

function outward(f) { // calls a function of the module from JavaScript
	const outer = { params: split(f.params), results: split(f.results) }, body = []
	let at = 0
	for (const t of f.params) {
		body.push(...(t === V128 ? join(at) : [0x20, ...leb(at)]))
		at += t === V128 ? 2 : 1
	}
	body.push(0x10, 0)
	f.results.map((_, i) => i).reverse().forEach(i => body.push(0x21, ...leb(at + i)))
	f.results.forEach((t, i) => body.push(...(t === V128 ? halves(at + i) : [0x20, ...leb(at + i)])))
	return adapter(f, outer, f.results, body)
}

const logV128 = adapter({ params: [I64, I64], results: [] }, { params: [V128], results: [] }, [], [...halves(0), 0x10, 0])

// ---- values ----

const hex = (n, digits) => n.toString(16).padStart(digits, '0')
const show = {
	i32: v => hex(v >>> 0, 8),
	i64: v => hex(BigInt.asUintN(64, v), 16),
	f32: v => Number.isNaN(v) ? 'nan' : (view.setFloat32(0, v), hex(view.getUint32(0), 8)),
	f64: v => Number.isNaN(v) ? 'nan' : (view.setFloat64(0, v), hex(view.getBigUint64(0), 16)),
}

function showAll(types, values) {
	let out = '', at = 0
	for (const t of types) {
		if (t === V128) {
			out += ` v128 ${show.i64(values[at + 1])}${show.i64(values[at])}`
			at += 2
		} else
			out += ` ${names[t]} ${show[names[t]](values[at++])}`
	}
	return out
}

const interesting = {
	i32: [0, 1, -1, 0x7fffffff, -0x80000000, 31, 65535, 65536, 1048573, 255, -2],
	i64: [0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 63n, 2n ** 32n, 2n ** 31n, -(2n ** 31n), 255n],
	float: [0, -0, 1, -1, NaN, Infinity, -Infinity, 2147483648, -2147483649, 4294967296, 9223372036854775808, 1e-42, 5e-324, 0.5],
}

// Bits as they stand in the call line; a NaN is the canonical one, the only one that JavaScript has.
const bits = { ...show, f32: v => Number.isNaN(v) ? '7fc00000' : show.f32(v), f64: v => Number.isNaN(v) ? '7ff8000000000000' : show.f64(v) }

function argument(type, next) {
	const pick = list => list[next() % list.length]
	if (type === I64)
		return next() % 2 ? pick(interesting.i64) : BigInt(next()) << 32n | BigInt(next())
	if (type === 0x7f)
		return next() % 2 ? pick(interesting.i32) : next() | 0
	const v = next() % 2 ? pick(interesting.float) : (next() - 2 ** 31) / 2 ** (next() % 64)
	return type === 0x7d ? Math.fround(v) : v
}

const TRAPS = [ // V8 has one text for what others tell apart: NaN and out of range, null and another signature
	[/^unreachable/, 'unreachable'], [/memory access out of bounds/, 'memory'], [/by zero/, 'divide'],
	[/unrepresentable/, 'number'], [/table|null function|signature/, 'indirect'], [/call stack size/, 'stack'],
]

function trap(e) {
	const known = TRAPS.find(([pattern]) => pattern.test(e.message))
	if (!known || !(e instanceof WebAssembly.RuntimeError || e instanceof RangeError))
		throw e
	return `trap ${known[1]}`
}

function memorySum(memory) {
	const words = new Int32Array(memory.buffer)
	let sum = memory.buffer.byteLength | 0
	for (let i = 0; i < words.length; i++)
		sum = sum + Math.imul(words[i], i << 1 | 1) | 0
	return hex(sum >>> 0, 8)
}

// ---- a module ----

function run(file) {
	const bytes = readFileSync(file), module = new WebAssembly.Module(bytes), out = []
	const log = type => (...v) => void out.push(`log${showAll([type], v)}`)
	const imports = { 'fuzzing-support': {
		'log-i32': log(0x7f), 'log-i64': log(I64), 'log-f32': log(0x7d), 'log-f64': log(0x7c),
		'log-v128': new WebAssembly.Instance(logV128, { i: { i: log(V128) } }).exports.e,
	} }
	let state = 2463534242
	const next = () => {
		state ^= state << 13; state ^= state >>> 17; state ^= state << 5
		return state >>> 0
	}
	const call = (f, adapt) => {
		const types = split(f.params), args = types.map(t => argument(t, next))
		let line = `call ${f.name}`, at = 0
		for (const t of f.params)
			line += t === V128 ? ` v128 ${bits.i64(args[at + 1])}${bits.i64(args[(at += 2) - 2])}` : ` ${names[t]} ${bits[names[t]](args[at++])}`
		out.push(line)
		let memory
		try {
			const instance = new WebAssembly.Instance(module, imports)
			memory = instance.exports.memory
			const target = adapt ? new WebAssembly.Instance(adapt, { i: { i: instance.exports[f.name] } }).exports.e : instance.exports[f.name]
			const result = target(...args)
			out.push(`return${showAll(f.results, split(f.results).length > 1 ? result : [result])}`)
			if (memory)
				out.push(`memory ${memorySum(memory)}`)
		} catch (e) {
			out.push(trap(e))
			if (memory && trap(e) !== 'trap stack') // how deep the stack is, everybody decides alone
				out.push(`stored ${memorySum(memory)}`)
		}
	}
	for (const f of exportedFunctions(bytes)) {
		if (f.name === 'hangLimitInitializer')
			continue
		const adapt = [...f.params, ...f.results].includes(V128) ? outward(f) : null
		for (let i = 0; i < (f.params.length ? 3 : 1); i++)
			call(f, adapt)
	}
	writeFileSync(file.replace(/wasm$/, 'want'), out.map(line => line + '\n').join(''))
}

for (const file of process.argv.slice(2)) {
	try {
		run(file)
	} catch (e) { // no .want: counted as skipped
		console.log(`${file}: node: ${e.message}`)
	}
}
