/* SPDX-License-Identifier: Apache-2.0 */
/* Method, path and query: u8 method, u8 length, path, then pairs of u8 length and bytes. */
#include <string.h>

#include "gateway/api/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct query q;
	struct route_found found;
	struct rd r = rd_from(data, size);
	enum api_method method = (enum api_method)(rd_u8(&r) % (API_OTHER + 1));
	uint64_t number = 0;
	route_find(method, rd_span(&r, rd_u8(&r)), &found);
	for (q.n = 0, q.used = 0; found.route && r.left > 0;)
		if (query_add(&q, found.route, rd_span(&r, rd_u8(&r)), NULL) < 0)
			break;
	if (query_u64(&q, "limit", 1, 1000, &number, NULL) == 0)
		ENSURE(number <= 1000 && q.used <= sizeof(q.bytes));
	return 0;
}
