#include "cuda/mutants/kernels.hpp"

#include <algorithm>
#include <cstddef>
#include <set>
#include <span>
#include <string_view>

#include "base/error.hpp"
#include "cuda/modules.hpp"
#include "emulator/driver/fatbin.hpp"
#include "emulator/ptx/syntax.hpp"

namespace gristmill::runtime::test {

namespace {

constexpr std::string_view kEntry = ".visible .entry ";

uint32_t lines_in(std::string_view text) {
  return static_cast<uint32_t>(std::count(text.begin(), text.end(), '\n'));
}

/// What all kernels of a module need stands before the first of them.
void add_kernels(std::vector<KernelText>& all, const std::string& module, std::string_view ptx) {
  const size_t first = std::min(ptx.find(kEntry), ptx.size());
  const std::string_view head = ptx.substr(0, first);
  for (size_t at = first; at < ptx.size();) {
    const size_t end = std::min(ptx.find(kEntry, at + kEntry.size()), ptx.size());
    const std::string text = str(head, ptx.substr(at, end - at));
    const auto entries = emulator::parse_ptx(text).entries;
    if (entries.size() != 1) fail(Kind::internal, "module ", module, ": a kernel that is not .visible");
    all.push_back({module, std::string(entries[0].name), text, lines_in(ptx.substr(0, at)) - lines_in(head)});
    at = end;
  }
}

}  // namespace

std::map<std::string, std::string> shipped_modules() {
  std::map<std::string, std::string> all;
  for (const cuda::EmbeddedModule& module : cuda::embedded_modules()) {
    const std::span bytes(static_cast<const std::byte*>(module.fatbin), emulator::fatbin_size(module.fatbin));
    all.emplace(module.name, emulator::fatbin_ptx(bytes));
  }
  return all;
}

std::vector<KernelText> shipped_kernels() {
  std::vector<KernelText> all;
  for (const auto& [module, ptx] : shipped_modules()) add_kernels(all, module, ptx);
  std::set<std::string> names;
  for (const KernelText& text : all) {
    if (!names.insert(text.kernel).second) fail(Kind::internal, "two kernels are called ", text.kernel);
  }
  return all;
}

}  // namespace gristmill::runtime::test
