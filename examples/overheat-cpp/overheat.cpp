// SPDX-License-Identifier: Apache-2.0
// overheat, as a C++ reactor. Strings come from the heap here; a fresh instance per event frees them.
#include <penstock.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

namespace {

constexpr int limit_celsius = 90;
constexpr std::string_view space = " \t\r\n";

// The JSON text from `at` on, read token by token; only the top level's members are looked at.
class Scanner {
public:
	explicit Scanner(std::string_view text) : text_(text) {}

	bool take(char c)
	{
		at_ = std::min(text_.find_first_not_of(space, at_), text_.size());
		if (at_ == text_.size() || text_[at_] != c)
			return false;
		at_++;
		return true;
	}

	// A string with its quotes and escapes as they stand.
	std::optional<std::string_view> string()
	{
		if (!take('"'))
			return std::nullopt;
		size_t start = at_ - 1;
		for (; at_ < text_.size(); at_++) {
			if (text_[at_] == '\\')
				at_++;
			else if (text_[at_] == '"')
				return text_.substr(start, ++at_ - start);
		}
		return std::nullopt;
	}

	// Any value as it stands; brackets are counted, not matched.
	std::optional<std::string_view> value()
	{
		at_ = std::min(text_.find_first_not_of(space, at_), text_.size());
		size_t start = at_;
		for (size_t depth = 0; at_ < text_.size();) {
			char c = text_[at_];
			if (c == '"') {
				if (!string())
					return std::nullopt;
				continue;
			}
			if (depth == 0 && (c == ',' || c == '}' || c == ']')) {
				auto found = text_.substr(start, at_ - start);
				return found.substr(0, found.find_last_not_of(space) + 1);
			}
			depth += c == '{' || c == '[';
			depth -= c == '}' || c == ']';
			at_++;
		}
		return std::nullopt;
	}

private:
	std::string_view text_;
	size_t at_ = 0;
};

std::optional<std::string_view> member(std::string_view json, std::string_view name)
{
	Scanner scan(json);
	if (!scan.take('{'))
		return std::nullopt;
	do {
		auto key = scan.string();
		if (!key || !scan.take(':'))
			return std::nullopt;
		auto value = scan.value();
		if (!value)
			return std::nullopt;
		if (key->substr(1, key->size() - 2) == name)
			return value;
	} while (scan.take(','));
	return std::nullopt;
}

std::optional<double> number(std::string_view text)
{
	// strtod would take "nan" and "0x1p3" as well; JSON does not.
	if (text.empty() || text.find_first_not_of("+-.0123456789eE") != text.npos)
		return std::nullopt;
	std::string digits(text);
	char *end;
	double value = std::strtod(digits.c_str(), &end);
	return *end ? std::nullopt : std::optional(value);
}

int fail(const char *why)
{
	penstock_log(PENSTOCK_ERROR, why);
	return 1;
}

} // namespace

extern "C" PENSTOCK_ON_EVENT int on_event(void)
{
	std::string json(static_cast<size_t>(penstock_payload(nullptr, 0)), '\0');
	penstock_payload(json.data(), static_cast<uint32_t>(json.size()));

	auto celsius = member(json, "celsius");
	auto value = celsius ? number(*celsius) : std::nullopt;
	if (!value)
		return fail("the payload has no number \"celsius\"");
	auto sensor = member(json, "sensor");
	if (!sensor || sensor->front() != '"')
		return fail("the payload has no string \"sensor\"");
	if (*value <= limit_celsius)
		return 0;
	std::string alert = "{\"alert\":\"overheat\",\"sensor\":" + std::string(*sensor) +
			    ",\"celsius\":" + std::string(*celsius) +
			    ",\"limit\":" + std::to_string(limit_celsius) + "}";
	return penstock_emit("", alert.data(), static_cast<uint32_t>(alert.size()));
}
