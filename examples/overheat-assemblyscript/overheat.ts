// SPDX-License-Identifier: Apache-2.0
// overheat, as an AssemblyScript command: the payload is stdin, the alert is stdout, an exit code
// other than 0 fails the event.
//
//	npm ci && npm run build

const LIMIT_CELSIUS = 90;
const SPACE = " \t\r\n";

function skipSpace(s: string, i: i32): i32 {
	while (i < s.length && SPACE.includes(s.charAt(i))) i++;
	return i;
}

// i is at the opening quote; gives the place after the closing one, or -1 when there is none.
function skipString(s: string, i: i32): i32 {
	for (i++; i < s.length; i++) {
		const c = s.charAt(i);
		if (c == "\\") i++;
		else if (c == '"') return i + 1;
	}
	return -1;
}

// The place after the value at i, or -1 when it does not end. Brackets are counted, not matched.
function skipValue(s: string, i: i32): i32 {
	let depth = 0;
	while (i < s.length) {
		const c = s.charAt(i);
		if (c == '"') {
			i = skipString(s, i);
			if (i < 0) return -1;
			continue;
		}
		if (depth == 0 && (c == "," || c == "}" || c == "]")) return i;
		if (c == "{" || c == "[") depth++;
		if (c == "}" || c == "]") depth--;
		i++;
	}
	return -1;
}

// The value of a member of the object that json is, as it stands; "" when there is none.
function member(json: string, name: string): string {
	let i = skipSpace(json, 0);
	if (json.charAt(i) != "{") return "";
	do {
		const key = skipSpace(json, i + 1);
		if (json.charAt(key) != '"') return "";
		const end = skipString(json, key);
		if (end < 0) return "";
		const colon = skipSpace(json, end);
		if (json.charAt(colon) != ":") return "";
		const value = skipSpace(json, colon + 1);
		i = skipValue(json, value);
		if (i < 0) return "";
		if (json.substring(key + 1, end - 1) == name) return json.substring(value, i).trimEnd();
	} while (json.charAt(i) == ",");
	return "";
}

function skipDigits(s: string, i: i32): i32 {
	while (i < s.length && s.charCodeAt(i) >= 48 && s.charCodeAt(i) <= 57) i++;
	return i;
}

function skipSign(s: string, i: i32): i32 {
	return s.charAt(i) == "-" || s.charAt(i) == "+" ? i + 1 : i;
}

// parseFloat would stop at the first strange character and be content.
function isNumber(s: string): bool {
	const start = skipSign(s, 0);
	let end = skipDigits(s, start);
	if (s.charAt(end) == ".") end = skipDigits(s, end + 1);
	if (end == start) return false;
	if (s.charAt(end) == "e" || s.charAt(end) == "E") {
		const exponent = skipSign(s, end + 1);
		end = skipDigits(s, exponent);
		if (end == exponent) return false;
	}
	return end == s.length;
}

function readAll(): string {
	const buffer = new ArrayBuffer(1024);
	let len = 0;
	let n = 0;
	do {
		n = <i32>process.stdin.read(buffer, len);
		len += max(n, 0);
	} while (n > 0 && len < buffer.byteLength);
	return String.UTF8.decodeUnsafe(changetype<usize>(buffer), len);
}

function fail(why: string): void {
	process.stderr.write(why + "\n");
	process.exit(1);
}

const json = readAll();
const celsius = member(json, "celsius");
const sensor = member(json, "sensor");
if (!isNumber(celsius)) fail('the payload has no number "celsius"');
if (!sensor.startsWith('"')) fail('the payload has no string "sensor"');
if (parseFloat(celsius) > LIMIT_CELSIUS)
	process.stdout.write(
		'{"alert":"overheat","sensor":' + sensor + ',"celsius":' + celsius + ',"limit":' + LIMIT_CELSIUS.toString() + "}"
	);
