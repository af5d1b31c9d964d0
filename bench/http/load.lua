-- SPDX-License-Identifier: Apache-2.0
-- For wrk: POST where the path says so; one line of results, times in microseconds.
init = function(args)
	if args[1] == "post" then
		wrk.method = "POST"
		wrk.body = '{"pump":"p-4","want":"state"}'
		wrk.headers["Content-Type"] = "application/json"
	end
end

done = function(summary, latency, requests)
	local e = summary.errors
	io.write(string.format("result %d %d %d %d %d %d\n", summary.requests, summary.duration,
		latency:percentile(50), latency:percentile(99), e.status,
		e.connect + e.read + e.write + e.timeout))
end
