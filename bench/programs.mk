# Libraries from Debian's source packages, natively and as Wasm by the flags that sdk/README.md recommends. The sources
# are fetched when they are first needed (bench/programs/fetch.sh).
programs_dir := $(B)/bench/programs
programs_sources := $(B)/bench/sources
programs := zlib bzip2 lz4 sqlite3

programs_src_zlib := adler32 compress crc32 deflate infback inffast inflate inftrees trees uncompr zutil
programs_flags_zlib := -I$(programs_sources)/zlib
programs_src_bzip2 := blocksort huffman crctable randtable compress decompress bzlib
programs_flags_bzip2 := -I$(programs_sources)/bzip2 -DBZ_NO_STDIO
programs_src_lz4 := lib/lz4 lib/lz4hc
# lz4 takes its fast loop on x86 and arm only.
programs_flags_lz4 := -I$(programs_sources)/lz4/lib -DLZ4_FAST_DEC_LOOP=1
programs_src_sqlite3 := build/sqlite3
# long double is of another size in Wasm; without operating system and threads it is the same SQLite on both sides.
programs_flags_sqlite3 := -I$(programs_sources)/sqlite3/build -DSQLITE_OS_OTHER=1 -DSQLITE_THREADSAFE=0 -DSQLITE_OMIT_LOAD_EXTENSION \
	-DSQLITE_TEMP_STORE=3 -DSQLITE_OMIT_WAL -DSQLITE_DEFAULT_MEMSTATUS=0 -DLONGDOUBLE_TYPE=double
programs_link := -Wl,--strip-debug -Wl,-z,stack-size=1048576

.PHONY: bench-programs bench-compile programs-bins programs-bins-small
bench-programs: $(B)/penstock $(B)/penstock-aot $(B)/penstock-sandbox $(kernels_dir)/sealed programs-bins ## zlib, bzip2, lz4 and SQLite from Debian's sources beside native C (PROGRAMS_ROUNDS=3)
	@B=$(B) PROGRAMS_ROUNDS=$(PROGRAMS_ROUNDS) bench/programs/run.sh
bench-compile: $(B)/penstock-aot programs-bins ## CPU time and memory that it takes to compile each of them
	@B=$(B) bench/programs/compile.sh
programs-bins: $(foreach p,$(programs),$(programs_dir)/$(p).native $(programs_dir)/$(p).wasm)
# SQLite alone takes longer than all the others: `make check` is content with them.
programs-bins-small: $(foreach p,$(filter-out sqlite3,$(programs)),$(programs_dir)/$(p).native $(programs_dir)/$(p).wasm)

$(programs_sources)/.fetched-%: bench/programs/fetch.sh | deps-bench
	$(call say,FETCH,$*)
	$(Q)bench/programs/fetch.sh $(@D) $*
	$(Q)touch $@
$(programs_sources)/.made-sqlite3: $(programs_sources)/.fetched-sqlite3
	$(Q)mkdir -p $(@D)/sqlite3/build && cd $(@D)/sqlite3/build && \
		{ ../configure CC=$(CC) --disable-tcl --disable-readline && $(MAKE) sqlite3.c; } >log 2>&1 </dev/null || \
		{ tail -n 5 log >&2; exit 1; }
	$(Q)touch $@
$(programs_sources)/sqlite3/build/sqlite3.c: $(programs_sources)/.made-sqlite3 ;
$(foreach p,$(filter-out sqlite3,$(programs)),$(eval $(programs_sources)/$(p)/%.c: $(programs_sources)/.fetched-$(p) ;))

# $(1) library, $(2) native or wasm, $(3) flags
define programs_variant
$(programs_dir)/$(1).$(2).o/lib/%.o: $(programs_sources)/$(1)/%.c bench/programs.mk
	$$(call say,PROGRAM,$(1).$(2)/$$*)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $(3) -O3 -w $(programs_flags_$(1)) -c -o $$@ $$<
$(programs_dir)/$(1).$(2).o/%.o: bench/programs/%.c bench/programs.mk | $(programs_sources)/$(if $(filter sqlite3,$(1)),.made,.fetched)-$(1)
	$$(call say,PROGRAM,$(1).$(2)/$$*)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $(3) -O3 -std=gnu17 -I. -Wall -Wextra -MMD -MP $(programs_flags_$(1)) -c -o $$@ $$<
$(programs_dir)/$(1).$(2): $(addprefix $(programs_dir)/$(1).$(2).o/,main.o $(1).o $(programs_src_$(1):%=lib/%.o))
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) $(if $(3),--target=wasm32-wasi $(programs_link)) -o $$@ $$^
endef
$(foreach p,$(programs),$(eval $(call programs_variant,$(p),native)))
$(foreach p,$(programs),$(eval $(call programs_variant,$(p),wasm,$(kernels_flags_scalar) -mbulk-memory)))
