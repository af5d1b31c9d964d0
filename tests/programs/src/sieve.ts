// SPDX-License-Identifier: Apache-2.0
// AssemblyScript: typed arrays, Map, strings, garbage-collected objects. What it prints is known.
class Point {
	constructor(public x: f64, public y: f64) {}
	add(o: Point): Point {
		return new Point(this.x + o.x, this.y + o.y);
	}
}
const composite = new Uint8Array(10000);
let primes = 0;
for (let i = 2; i < composite.length; i++) {
	if (composite[i]) continue;
	primes++;
	for (let k = i * 2; k < composite.length; k += i) composite[k] = 1;
}
console.log("primes " + primes.toString());
const count = new Map<string, i32>();
const words = "the pump and the valve and the boiler".split(" ");
for (let i = 0; i < words.length; i++) count.set(words[i], (count.has(words[i]) ? count.get(words[i]) : 0) + 1);
const keys = count.keys().sort();
for (let i = 0; i < keys.length; i++) console.log(keys[i] + " " + count.get(keys[i]).toString());
let p = new Point(0, 0);
for (let i = 0; i < 100000; i++) p = p.add(new Point(0.5, -0.25));
console.log(p.x.toString() + " " + p.y.toString());
const args = process.argv;
for (let i = 1; i < args.length; i++) console.log(args[i]);
process.exit(5);
