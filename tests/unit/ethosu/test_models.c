/* SPDX-License-Identifier: Apache-2.0 */
/* Each model gives the bytes of TensorFlow Lite Micro's reference kernels. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ethosu_bridge/cpu.h"

static const char *models_dir(void)
{
	const char *dir = getenv("MODELS_DIR");
	return dir ? dir : "../shared/models";
}

/* malloc'd; NULL: it is not there. */
static uint8_t *file_read(const char *name, size_t *ret_len)
{
	char path[512];
	(void)snprintf(path, sizeof(path), "%s/%s", models_dir(), name);
	FILE *f = fopen(path, "re");
	if (!f)
		return NULL;
	(void)fseek(f, 0, SEEK_END);
	long n = ftell(f);
	rewind(f);
	uint8_t *bytes = malloc((size_t)n + 1);
	assert_non_null(bytes);
	*ret_len = fread(bytes, 1, (size_t)n, f);
	(void)fclose(f);
	assert_int_equal(*ret_len, n);
	return bytes;
}

static void run_one(const struct tfl_model *m, struct cpu_model *c, const char *name, int k)
{
	char file[256];
	size_t nin, nout, at = 0;
	(void)snprintf(file, sizeof(file), "%s.%d.in", name, k);
	uint8_t *in = file_read(file, &nin);
	(void)snprintf(file, sizeof(file), "%s.%d.out", name, k);
	uint8_t *out = file_read(file, &nout);
	assert_true(in && out);
	for (unsigned i = 0; i < m->ninputs; i++) {
		uint32_t bytes = m->tensors[m->input[i]].bytes;
		assert_true(at + bytes <= nin);
		memcpy(cpu_input(c, i), in + at, bytes);
		at += bytes;
	}
	assert_int_equal(at, nin);
	cpu_run(c);
	at = 0;
	for (unsigned i = 0; i < m->noutputs; i++) {
		uint32_t bytes = m->tensors[m->output[i]].bytes;
		assert_true(at + bytes <= nout);
		if (memcmp(cpu_output(c, i), out + at, bytes) != 0)
			fail_msg("%s.%d: output %u differs", name, k, i);
		at += bytes;
	}
	assert_int_equal(at, nout);
	free(in);
	free(out);
}

static const char *const names[] = {
	"hello_world_int8", "kws_ref_model",          "ad01_int8",
	"vww_96_int8",      "pretrainedResnet_quant", "str_ww_ref_model",
	"person_detect",    "micro_speech_quantized", "simple_add_model"
};

static void every_model_gives_the_reference_bytes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char file[256];
		size_t n;
		struct arena arena = { 0 };
		struct tfl_model m;
		struct cpu_model *c = NULL;
		struct why why = { 0 };
		(void)snprintf(file, sizeof(file), "%s.tflite", names[i]);
		uint8_t *bytes = file_read(file, &n);
		if (!bytes)
			skip();
		arena_init(&arena, 64 << 20);
		if (tfl_read((struct span){ bytes, n }, &arena, &m, &why) != 0 ||
		    cpu_prepare(&m, &c, &why) != 0)
			fail_msg("%s: %s", names[i], why.text);
		/* Twice: a run leaves nothing behind that the next one sees. */
		for (int k = 0; k < 6; k++)
			run_one(&m, c, names[i], k % 3);
		cpu_free(c);
		arena_fini(&arena);
		free(bytes);
	}
}

static void what_is_not_offered_is_named(void **state)
{
	static const struct {
		const char *file, *reason;
	} row[] = { { "trained_lstm_int8.tflite", "UNIDIRECTIONAL_SEQUENCE_LSTM" },
		    { "keyword_scrambled_8bit.tflite", "QUANTIZE: from int16 to int8" },
		    { "u65-256/simple_add_model_vela.tflite", "ethos-u" } };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		size_t n;
		struct arena arena = { 0 };
		struct tfl_model m;
		struct cpu_model *c = NULL;
		struct why why = { 0 };
		uint8_t *bytes = file_read(row[i].file, &n);
		if (!bytes)
			skip();
		arena_init(&arena, 64 << 20);
		int err = tfl_read((struct span){ bytes, n }, &arena, &m, &why);
		if (err == 0)
			err = cpu_prepare(&m, &c, &why);
		assert_int_equal(err, -E_UNSUPPORTED);
		if (!strstr(why.text, row[i].reason))
			fail_msg("%s: \"%s\"", row[i].file, why.text);
		arena_fini(&arena);
		free(bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_model_gives_the_reference_bytes),
		cmocka_unit_test(what_is_not_offered_is_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
