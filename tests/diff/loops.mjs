// SPDX-License-Identifier: Apache-2.0
// node loops.mjs SEED DIR ID...: DIR/ID.wat, a module of loops over memory: what the passes for loops and bounds
// (checks.c, hoist.c, version.c, rebase.c, roots.c, lanes.c, reroll.c, compare.c) look for, and what is only like it.
// Addresses are sums, products, shifts and masks of counters, up or down, at the memory's ends and at those of an i32;
// the loops also divide, grow the memory, call, and leave early. Every function ends, by fuel where nothing else makes it.
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'

const [seed, dir, ...ids] = process.argv.slice(2)
const PAGE = 65536, TOP = 2 ** 32, FUNCTIONS = 14

let random // a function: 32 random bits
function generator(key) {
	let words = [], round = 0
	return () => {
		if (words.length === 0)
			words = [...new Uint32Array(createHash('sha256').update(`${key}:${round++}`).digest().buffer.slice(0, 32))]
		return words.pop()
	}
}
const below = n => random() % n
const pick = list => list[below(list.length)]
const chance = n => below(n) === 0
const get = name => `(local.get $${name})`
const set = (name, v) => `(local.set $${name} ${v})`
const i32 = n => `(i32.const ${n | 0})`
const op = (name, a, b) => `(i32.${name} ${a} ${b})`
const add = (a, b) => op('add', a, b)

// ---- addresses ----

let pages // of the module
let counters // names of the locals that count, innermost loop last
let wild // whether the function goes for the ends; most that do trap, so not all should

const inside = () => 8192 + below(pages * PAGE - 32768)
const anywhere = () => wild ? pick([
	() => pick([0, 4, 8, 12, 64, 4096, 20000]),
	() => pages * PAGE - pick([1, 4, 8, 16, 64, 400, 4000]),
	() => pages * PAGE + pick([0, 1, 4, -4]),
	() => below(pages * PAGE),
	() => below(pages * PAGE) & ~7,
	() => TOP - pick([1, 4, 8, 16, 400, 4000]),
	() => random(),
])() : pick([() => inside(), () => inside() & ~7, () => pages * PAGE - pick([4, 8, 404, 8192])])()

const counter = () => get(pick(counters))
const scale = () => pick([1, 2, 3, 4, 8, 12, 16, 40, 400, -1, -4, -8])
const addresses = [
	() => get('p'), () => get('p'), () => get('q'), () => get('q'),
	() => add(get('p'), i32(pick([4, -4, 8, -8, 1, -1, 16, 400, -400, 3000]))),
	() => add(get('q'), op('shl', counter(), i32(pick([0, 1, 2, 3])))),
	() => add(get('q'), op('mul', counter(), i32(scale()))),
	() => op('sub', get('q'), op('shl', counter(), i32(pick([0, 1, 2, 3])))),
	() => add(get('q'), op('mul', counter(), get('s'))),
	() => add(get('q'), add(op('mul', counter(), i32(scale())), op('mul', counter(), i32(scale())))),
	() => add(get('p'), op('and', pick([counter(), get('acc'), get('p')]), i32(pick([7, 255, 1023, 4092, 0xffff, 0xfff8])))),
	() => op('and', add(get('q'), op('mul', counter(), i32(scale()))), i32(pick([255, 4092, 0xfffc, 0xffff, 0x1fffc]))),
	() => op('or', op('shl', counter(), i32(3)), i32(pick([1, 4, 7]))),
	() => op('shl', i32(pick([1, 4, 12])), pick([counter(), op('and', counter(), i32(31))])),
	() => op('shr_u', get('acc'), i32(pick([16, 20, 24]))),
	() => add(i32(anywhere()), op('mul', op('and', get('acc'), i32(63)), i32(pick([4, 8, 12])))),
	() => `(select ${get('p')} ${get('q')} ${op('and', counter(), i32(pick([1, 4])))})`,
]
const address = () => pick(addresses)()
const offset = () => wild && chance(4) ? pick([65000, pages * PAGE - 4, 0x4000000, 0xfffffff8]) : pick([0, 0, 0, 0, 0, 0, 4, 8, 1, 16, 100, 4000])

const loads = ['i32.load', 'i32.load', 'i32.load8_u', 'i32.load8_s', 'i32.load16_u', 'i32.load16_s']
const stores = ['i32.store', 'i32.store', 'i32.store8', 'i32.store16']
const load = (at = address(), off = offset()) => pick([
	() => `(${pick(loads)} offset=${off} ${at})`,
	() => `(${pick(loads)} offset=${off} ${at})`,
	() => `(i32.wrap_i64 (i64.load offset=${off} ${at}))`,
	() => `(i32.trunc_sat_f64_s (f64.load offset=${off} ${at}))`,
])()

// ---- statements ----

const value = () => pick([
	() => counter(), () => i32(below(999)), () => get('acc'), () => load(), () => load(),
	() => add(load(), load()),
	() => op('mul', load(), i32(31)),
	() => chance(2) ? op('div_s', get('acc'), pick([counter(), load()])) : op('xor', get('acc'), load()),
	() => `(select ${load()} ${load()} ${op('lt_s', get('acc'), load())})`,
])()

const store = () => pick([
	() => `(${pick(stores)} offset=${offset()} ${address()} ${value()})`,
	() => `(${pick(stores)} offset=${offset()} ${address()} ${value()})`,
	() => { const at = address(), off = offset(); return `(i32.store offset=${off} ${at} ${add(`(i32.load offset=${off} ${at})`, value())})` },
	() => `(f64.store offset=${offset()} ${address()} (f64.add (f64.load ${address()}) (f64.convert_i32_s ${value()})))`,
	() => `(i64.store offset=${offset()} ${address()} (i64.extend_i32_u ${value()}))`,
])()

// The same thing several times, as a compiler unrolls it
function copies() {
	const n = pick([2, 3, 4, 8]), by = pick([1, 4, 4, 8]), kind = by === 1 ? '8' : ''
	const in_offset = chance(3), body = pick([
		(at, off) => `(i32.store${kind} offset=${off} ${at(get('q'))} (i32.load${by === 1 ? '8_u' : ''} offset=${off} ${at(get('p'))}))`,
		(at, off) => `(i32.store${kind} offset=${off} ${at(get('q'))} ${i32(7)})`,
		(at, off) => set('acc', op('xor', op('mul', get('acc'), i32(31)), `(i32.load offset=${off} ${at(get('p'))})`)),
		(at, off) => `(f64.store offset=${off} ${at(get('q'))} (f64.mul (f64.const 3) (f64.load offset=${off} ${at(get('q'))})))`,
	])
	let text = ''
	for (let k = 0; k < n; k++)
		text += body(base => in_offset ? add(base, op('mul', counter(), i32(by))) : add(add(base, op('mul', counter(), i32(by))), i32(k * by)), in_offset ? k * by : 0)
	return text
}

const bulk = () => pick([
	() => `(memory.fill ${address()} ${value()} ${op('and', value(), i32(pick([15, 255])))})`,
	() => `(memory.copy ${address()} ${address()} ${op('and', value(), i32(pick([15, 255])))})`,
	() => `(memory.init 0 ${address()} ${i32(below(8))} ${i32(below(20))})`,
])()

function statement(depth) {
	switch (below(14)) {
	case 0: case 1: return set('acc', add(get('acc'), load()))
	case 2: return set('acc', op(pick(['xor', 'sub', 'mul']), get('acc'), value()))
	case 3: return `(if ${op(pick(['lt_u', 'eq', 'gt_s']), pick([get('p'), get('acc'), counter()]), i32(anywhere()))} (then ${depth < 2 ? statement(depth + 1) : store()}))`
	case 4: return `(br_if $out ${op('eq', load(), i32(below(500)))})`
	case 5: return copies()
	case 6: return chance(3) ? bulk() : store()
	case 7: return chance(6) ? '(drop (memory.grow (i32.const 1)))' : chance(6) ? `(call $log ${get('acc')})` : store()
	case 8: return chance(2) && depth < 2 && counters.length < 3 ? loop(depth + 1) : store()
	case 9: return `(drop ${load()})`
	default: return store()
	}
}

// ---- loops ----

// memcmp as libcs have it, or nearly
function compare() {
	const wide = [pick(['load8_u', 'load8_u', 'load8_s']), pick(['load8_u', 'load8_u', 'load8_s'])]
	return `(block $differ (loop $bytes
		${set('a', `(i32.${wide[0]} offset=${pick([0, 0, 3])} ${get('p')})`)}${set('b', `(i32.${wide[1]} ${get('q')})`)}
		(br_if $differ (i32.ne ${get('a')} ${get('b')}))
		${set('p', add(get('p'), i32(1)))}${set('q', add(get('q'), i32(pick([1, 1, 1, 2]))))}
		(br_if $bytes (local.tee $n ${add(get('n'), i32(-1))}))))
		${set('acc', add(get('acc'), add(op('sub', get('a'), get('b')), get('n'))))}`
}

function loop(depth) {
	const name = ['i', 'j', 'k'][counters.length], label = `$next${depth}`
	const step = pick([1, 1, 1, 2, 3, 4, 8, -1, -1, -4]), count = pick([1, 2, 3, 5, 8, 10, 100, 100, depth ? 20 : 1000])
	const start = pick([0, 0, 0, 0, -count, count, below(100) - 50, wild ? 2 ** 31 - 5 : 0]), end = start + step * count
	const up = step > 0, next = `(local.tee $${name} ${add(get(name), i32(step))})`
	// and whether it ends by itself
	const [test, ends] = pick([
		() => [op('ne', next, i32(end)), true],
		() => [op('ne', next, i32(end + 1)), step === 1],
		() => [op(up ? 'lt_s' : 'gt_s', next, i32(end + pick([0, 1, -1]))), true],
		() => [op(up ? 'le_s' : 'ge_s', next, i32(end)), true],
		() => [op(up ? 'lt_u' : 'gt_u', next, i32(end)), true],
		() => [op('lt_u', next, op('and', get('a0'), i32(pick([31, 127])))), true],
		() => [`${set(name, add(get(name), i32(step)))}(local.tee $n ${add(get('n'), i32(-1))})`, true],
		() => [`${set(name, add(get(name), i32(step)))}${op('lt_u', get('p'), i32(anywhere()))}`, false],
	])()
	counters.push(name)
	let body = ''
	for (let n = 1 + below(4); n > 0; n--)
		body += statement(depth)
	counters.pop()
	const on = set('p', add(get('p'), chance(6) ? get('s') : i32(pick([1, 2, 4, 4, 4, 8, 12, 24, -4, -1, -8, 0]))))
	// A second exit keeps most passes out.
	const fuel = `(br_if $out (i32.eqz (local.tee $fuel ${add(get('fuel'), i32(-1))})))`
	return `${set(name, i32(start))}${depth ? `${fuel}${set('n', i32(pick([1, 2, 8, 17])))}` : ''}
		(loop ${label} ${body}${on}${ends && !chance(4) ? '' : fuel}(br_if ${label} ${test}))`
}

const locals = ['p', 'q', 'i', 'j', 'k', 'n', 's', 'a', 'b', 'acc', 'fuel'].map(name => `(local $${name} i32)`).join(' ')

function func(index) {
	counters = []
	wild = chance(3)
	const body = chance(8) ? compare() : loop(0)
	// Not the same: what is compared with itself is a load that the optimiser need not make (doc/SANDBOX.md).
	const p = anywhere(), q = [anywhere(), anywhere(), p + 64].find(v => v !== p)
	return `(func (export "f${index}") (param $a0 i32) (result i32) ${locals}
		${set('p', i32(p))}${set('q', i32(q))}${set('n', i32(pick([1, 2, 8, 16, 40, 100, 1000])))}
		${set('s', chance(3) ? `(i32.load offset=60 ${i32(0)})` : i32(pick([4, 8, -4, 40, 0])))}${set('fuel', i32(3000))}
		${chance(2) ? set('p', add(get('p'), op('and', get('a0'), i32(4092)))) : ''}
		${chance(4) ? set('n', op('or', op('and', get('a0'), i32(126)), i32(1))) : ''}
		(block $out ${body}) ${add(get('acc'), add(get('p'), get('q')))})`
}

// What is at the ends of each page: bytes that repeat, so that loops compare and find something.
function data() {
	let text = ''
	for (let at of [0, 4096, 20000, pages * PAGE - 512])
		text += `(data (i32.const ${at}) "${Array.from({ length: 512 }, (_, i) => '\\' + (i % 64 * 37 & 0xff).toString(16).padStart(2, '0')).join('')}")`
	return text
}

for (const id of ids) {
	random = generator(`loops:${seed}:${id}`)
	pages = pick([1, 1, 1, 2, 3])
	const most = pages + pick([0, 1, 1, 4])
	let functions = ''
	for (let i = 0; i < FUNCTIONS; i++)
		functions += func(i) + '\n'
	writeFileSync(`${dir}/${id}.wat`, `(module (import "fuzzing-support" "log-i32" (func $log (param i32)))
		(memory (export "memory") ${pages} ${most}) (data $passive "0123456789abcdefghij") ${data()}\n${functions})\n`)
}
