// SPDX-License-Identifier: Apache-2.0
// A C++ program that pulls in much of the library: streams, locale-aware formatting, maps, sets, variants, virtual
// calls, std::function, sorting, regular text processing of stdin. Its Wasm is over 200 KB.
#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <deque>
#include <functional>
#include <iomanip>
#include <iostream>
#include <list>
#include <map>
#include <memory>
#include <numeric>
#include <queue>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

struct Shape {
	virtual ~Shape() = default;
	virtual double area() const = 0;
	virtual std::string name() const = 0;
};
struct Circle final : Shape {
	double r;
	explicit Circle(double r) : r(r) {}
	double area() const override { return M_PI * r * r; }
	std::string name() const override { return "circle"; }
};
struct Polygon : Shape {
	std::vector<std::complex<double>> points;
	explicit Polygon(std::vector<std::complex<double>> p) : points(std::move(p)) {}
	double area() const override
	{
		double sum = 0;
		for (size_t i = 0; i < points.size(); i++)
			sum += std::imag(std::conj(points[i]) * points[(i + 1) % points.size()]);
		return std::abs(sum) / 2;
	}
	std::string name() const override { return std::to_string(points.size()) + "-gon"; }
};

// An expression evaluator over a variant tree.
struct Node;
using NodePtr = std::unique_ptr<Node>;
struct Binary { char op; NodePtr left, right; };
struct Node { std::variant<double, std::string, Binary> value; };

class Parser {
public:
	explicit Parser(std::string_view s) : s_(s) {}
	NodePtr expression(int level = 0)
	{
		static constexpr std::array<std::string_view, 2> ops{ "+-", "*/" };
		if (level == 2)
			return atom();
		auto left = expression(level + 1);
		while (skip(), at_ < s_.size() && ops[level].find(s_[at_]) != ops[level].npos) {
			char op = s_[at_++];
			left = std::make_unique<Node>(Node{ Binary{ op, std::move(left), expression(level + 1) } });
		}
		return left;
	}

private:
	void skip() { while (at_ < s_.size() && s_[at_] == ' ') at_++; }
	NodePtr atom()
	{
		skip();
		if (at_ < s_.size() && s_[at_] == '(') {
			at_++;
			auto inner = expression();
			skip();
			at_++;
			return inner;
		}
		size_t end = at_;
		while (end < s_.size() && (std::isalnum(static_cast<unsigned char>(s_[end])) || s_[end] == '.'))
			end++;
		std::string word(s_.substr(at_, end - at_));
		at_ = end;
		if (!word.empty() && std::isdigit(static_cast<unsigned char>(word[0])))
			return std::make_unique<Node>(Node{ std::stod(word) });
		return std::make_unique<Node>(Node{ word });
	}
	std::string_view s_;
	size_t at_ = 0;
};

double evaluate(const Node &n, const std::map<std::string, double> &vars)
{
	if (auto *d = std::get_if<double>(&n.value))
		return *d;
	if (auto *s = std::get_if<std::string>(&n.value))
		return vars.count(*s) ? vars.at(*s) : 0;
	auto &b = std::get<Binary>(n.value);
	static const std::map<char, std::function<double(double, double)>> ops{
		{ '+', std::plus<>() }, { '-', std::minus<>() }, { '*', std::multiplies<>() }, { '/', std::divides<>() }
	};
	return ops.at(b.op)(evaluate(*b.left, vars), evaluate(*b.right, vars));
}

static void words(std::istream &in)
{
	std::unordered_map<std::string, int> count;
	std::string line;
	size_t lines = 0, longest = 0;
	while (std::getline(in, line)) {
		lines++;
		longest = std::max(longest, line.size());
		std::transform(line.begin(), line.end(), line.begin(), [](unsigned char c) { return std::isalpha(c) ? std::tolower(c) : ' '; });
		std::istringstream split(line);
		for (std::string w; split >> w;)
			count[w]++;
	}
	std::vector<std::pair<std::string, int>> top(count.begin(), count.end());
	std::sort(top.begin(), top.end(), [](auto &a, auto &b) { return std::tie(b.second, a.first) < std::tie(a.second, b.first); });
	std::cout << lines << " lines, longest " << longest << ", " << top.size() << " words\n";
	for (size_t i = 0; i < std::min<size_t>(8, top.size()); i++)
		std::cout << std::setw(12) << std::left << top[i].first << std::right << std::setw(5) << top[i].second << '\n';
}

static void shortest_paths()
{
	std::mt19937 random(12345);
	const int n = 300;
	std::vector<std::vector<std::pair<int, int>>> edges(n);
	for (int i = 0; i < 2000; i++)
		edges[random() % n].push_back({ static_cast<int>(random() % n), static_cast<int>(random() % 100 + 1) });
	std::vector<int> dist(n, 1 << 30);
	std::priority_queue<std::pair<int, int>, std::vector<std::pair<int, int>>, std::greater<>> queue;
	queue.push({ dist[0] = 0, 0 });
	while (!queue.empty()) {
		auto [d, at] = queue.top();
		queue.pop();
		if (d > dist[at])
			continue;
		for (auto [to, w] : edges[at])
			if (d + w < dist[to])
				queue.push({ dist[to] = d + w, to });
	}
	std::cout << "distances " << std::accumulate(dist.begin(), dist.end(), 0LL) << " farthest " << *std::max_element(dist.begin(), dist.end()) << '\n';
}

int main(int argc, char **argv)
{
	std::ios::sync_with_stdio(false);
	for (int i = 1; i < argc; i++)
		std::cout << "argument " << i << ": " << std::quoted(argv[i]) << '\n';
	words(std::cin);
	std::vector<std::shared_ptr<Shape>> shapes{ std::make_shared<Circle>(2.5) };
	for (int n = 3; n < 9; n++) {
		std::vector<std::complex<double>> p;
		for (int k = 0; k < n; k++)
			p.push_back(std::polar(1.0, 2 * M_PI * k / n));
		shapes.push_back(std::make_shared<Polygon>(p));
	}
	for (auto &s : shapes)
		std::cout << std::setw(8) << s->name() << " " << std::fixed << std::setprecision(6) << s->area() << '\n';
	std::map<std::string, double> vars{ { "x", 3 }, { "y", 0.5 } };
	for (auto text : { "1 + 2 * 3", "(x + y) * (x - y)", "10 / 4 / 2 - 1", "unknown + 1", "1 / 0" })
		std::cout << text << " = " << std::defaultfloat << evaluate(*Parser(text).expression(), vars) << '\n';
	shortest_paths();
	std::multiset<std::string> names{ "pump", "boiler", "fan", "boiler", "valve" };
	std::list<std::string> joined(names.begin(), names.end());
	joined.reverse();
	std::deque<int> ring;
	for (int i = 0; i < 1000; i++) {
		ring.push_front(i * 7919 % 1009);
		if (ring.size() > 64)
			ring.pop_back();
	}
	std::stable_sort(ring.begin(), ring.end());
	for (auto &n : joined)
		std::cout << n << ' ';
	std::cout << "\nring " << ring.front() << ".." << ring.back() << " hex " << std::hex << std::showbase << std::accumulate(ring.begin(), ring.end(), 0) << std::endl;
	std::cerr << "done\n";
	return shapes.size() == 7 ? 0 : 1;
}
