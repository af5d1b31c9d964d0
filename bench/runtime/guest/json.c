/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reading comes in, {"sensor":"boiler-7","fahrenheit":212.5,"time":1700000000}, and goes out in
 * degrees Celsius, with two decimals: what most functions of a gateway do. Built natively, too
 * (json_convert() in bench/runtime/main.c), for scale.
 */
#include "bench/runtime/guest/json.h"

#include <penstock.h>

PENSTOCK_ON_EVENT int on_event(void)
{
	char in[512], out[256];
	int len = penstock_payload(in, sizeof(in));
	if (len < 0 || (size_t)len > sizeof(in))
		return 1;
	int n = json_convert(in, (size_t)len, out, sizeof(out));
	return n < 0 ? 1 : penstock_emit("", out, (uint32_t)n);
}
