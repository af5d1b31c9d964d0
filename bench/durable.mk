# What it costs to lose nothing: bench/durable.
.PHONY: bench-durable
bench-durable: all bench-tools $(call example,overheat) | deps-bench ## events per second with the journal, beside native C without; its size; start with 100,000 waiting (BENCH_QUICK=1)
	@B=$(B) bench/durable/run.sh $(if $(BENCH_QUICK),--quick)
