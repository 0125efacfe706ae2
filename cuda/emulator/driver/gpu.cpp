#include "emulator/driver/gpu.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include "base/error.hpp"
#include "base/memory.hpp"
#include "emulator/driver/fatbin.hpp"
#include "emulator/driver/use_table.hpp"

namespace gristmill::emulator {

namespace {

constexpr size_t kToldFaults = 3;
constexpr uint64_t kUnknownMemory = uint64_t{1} << 34;

std::string told(const Kernel& kernel, const Report& report) {
  std::string text = str("emulated GPU: kernel ", kernel.name, " has a fault: ");
  const size_t shown = std::min(report.faults.size(), kToldFaults);
  for (size_t i = 0; i < shown; ++i) text += (i > 0 ? "; " : "") + to_string(report.faults[i]);
  const uint64_t more = report.faults.size() - shown + report.omitted_faults;
  return more > 0 ? str(text, "; and ", more, " more") : text;
}

template <class List, class Pointer>
auto found(List& list, const Pointer* handle, const char* what) {
  const auto at =
      std::find_if(list.begin(), list.end(), [&](const auto& item) { return item.get() == handle; });
  if (at == list.end()) fail(Kind::device, "emulated GPU: no such ", what);
  return at;
}

}  // namespace

void Gpu::expect_alive() const {
  if (!fault_.empty()) throw Error(Kind::device, fault_);
}

void Gpu::expect_no_capture(const char* what) const {
  const auto captured = [](const auto& stream) { return stream->is_captured; };
  if (std::any_of(streams_.begin(), streams_.end(), captured)) {
    fail(Kind::device, "emulated GPU: ", what, " while a stream is captured");
  }
}

uint64_t Gpu::allocate(uint64_t bytes) {
  const Lock lock(mutex_);
  expect_alive();
  expect_no_capture("an allocation");
  const bool fits = memory_.has_room(bytes) && (options_.memory == 0 || bytes <= bytes_free());
  return fits ? memory_.allocate(bytes) : 0;
}

uint64_t Gpu::bytes_free() const {
  const Lock lock(mutex_);
  if (options_.memory == 0) return available_memory().value_or(kUnknownMemory);
  return options_.memory - std::min(options_.memory, memory_.bytes_in_use());
}

void Gpu::release(uint64_t address) {
  const Lock lock(mutex_);
  expect_no_capture("a release");
  memory_.release(address);
}

uint64_t Gpu::bytes_in_use() const {
  const Lock lock(mutex_);
  return memory_.bytes_in_use();
}

void* Gpu::allocate_host(size_t bytes) {
  const Lock lock(mutex_);
  std::vector<std::byte> memory(std::max<size_t>(bytes, 1));
  const std::byte* address = memory.data();
  return host_.emplace(address, std::move(memory)).first->second.data();
}

void Gpu::release_host(void* memory) {
  const Lock lock(mutex_);
  if (host_.erase(static_cast<const std::byte*>(memory)) == 0) {
    fail(Kind::device, "emulated GPU: release of host memory that it did not give out");
  }
}

LazyStream* Gpu::create_stream() {
  const Lock lock(mutex_);
  expect_alive();
  streams_.push_back(std::make_shared<LazyStream>());
  return streams_.back().get();
}

void Gpu::destroy_stream(const LazyStream* stream) {
  const Lock lock(mutex_);
  const auto known_stream = known(stream);
  if (fault_.empty()) run_until(*known_stream, known_stream->queued);
  streams_.erase(found(streams_, stream, "stream"));
}

void Gpu::synchronize(const LazyStream* stream) {
  const Lock lock(mutex_);
  expect_alive();
  expect_no_capture("a wait");
  const auto known_stream = known(stream);
  run_until(*known_stream, known_stream->queued);
}

void Gpu::begin_capture(const LazyStream* stream) {
  const Lock lock(mutex_);
  expect_alive();
  expect_no_capture("a capture");
  known(stream)->is_captured = true;
}

CapturedWork* Gpu::end_capture(const LazyStream* stream) {
  const Lock lock(mutex_);
  const auto ended = known(stream);
  if (!ended->is_captured) fail(Kind::device, "emulated GPU: the end of a capture that did not begin");
  ended->is_captured = false;
  captured_.push_back(std::make_unique<CapturedWork>(CapturedWork{std::exchange(ended->captured, {})}));
  return captured_.back().get();
}

CapturedWork* Gpu::instantiate(const CapturedWork* graph) {
  const Lock lock(mutex_);
  captured_.push_back(std::make_unique<CapturedWork>(**found(captured_, graph, "graph")));
  return captured_.back().get();
}

void Gpu::destroy_captured(const CapturedWork* work) {
  const Lock lock(mutex_);
  captured_.erase(found(captured_, work, "graph"));
}

void Gpu::launch_captured(const CapturedWork* work, const LazyStream* stream) {
  const Lock lock(mutex_);
  for (const auto& item : (*found(captured_, work, "graph"))->items) enqueue(stream, item);
}

Moment* Gpu::create_event() {
  const Lock lock(mutex_);
  expect_alive();
  events_.push_back(std::make_unique<Moment>());
  return events_.back().get();
}

void Gpu::destroy_event(const Moment* event) {
  const Lock lock(mutex_);
  events_.erase(found(events_, event, "event"));
}

void Gpu::record(Moment* event, const LazyStream* stream) {
  const Lock lock(mutex_);
  expect_alive();
  expect_no_capture("an event");
  *known(event) = {known(stream), known(stream)->queued};
}

void Gpu::wait(const LazyStream* stream, const Moment* event) {
  const Lock lock(mutex_);
  const Moment moment = *known(event);
  if (moment.stream == nullptr) return;
  enqueue(stream, [this, moment] { run_until(*moment.stream, moment.position); });
}

void Gpu::synchronize(const Moment* event) {
  const Lock lock(mutex_);
  expect_alive();
  expect_no_capture("a wait");
  const Moment moment = *known(event);
  if (moment.stream != nullptr) run_until(*moment.stream, moment.position);
}

void Gpu::copy_in(uint64_t to, const void* from, uint64_t bytes, const LazyStream* stream) {
  const Lock lock(mutex_);
  const auto* source = static_cast<const std::byte*>(from);
  const auto after = host_.upper_bound(source);
  const bool page_locked =
      after != host_.begin() && source + bytes <= std::prev(after)->first + std::prev(after)->second.size();
  if (!page_locked) {
    fail(Kind::device, "emulated GPU: an asynchronous copy of ", bytes,
         " bytes from memory of the host that is not page-locked: it may change before it is read");
  }
  enqueue(stream, [=, this] { memory_.write(to, from, bytes); });
}

void Gpu::copy_out(void* to, uint64_t from, uint64_t bytes, const LazyStream* stream) {
  enqueue(stream, [=, this] { memory_.read(from, to, bytes); });
}

void Gpu::copy(uint64_t to, uint64_t from, uint64_t bytes, const LazyStream* stream) {
  enqueue(stream, [=, this] { memory_.copy(to, from, bytes); });
}

void Gpu::set_bytes(uint64_t to, uint8_t value, uint64_t bytes, const LazyStream* stream) {
  enqueue(stream, [=, this] { memory_.fill(to, value, bytes); });
}

void Gpu::hide(uint64_t address, const LazyStream* stream) {
  enqueue(stream, [=, this] { memory_.hide(address); });
}

void Gpu::show(uint64_t address, uint64_t bytes, const LazyStream* stream) {
  enqueue(stream, [=, this] { memory_.show(address, bytes); });
}

Module* Gpu::load(const void* fatbin) {
  const Lock lock(mutex_);
  expect_alive();
  const std::span bytes(static_cast<const std::byte*>(fatbin), fatbin_size(fatbin));
  modules_.push_back(std::make_unique<Module>(memory_, fatbin_ptx(bytes), "embedded PTX"));
  return modules_.back().get();
}

void Gpu::unload(const Module* module) {
  const Lock lock(mutex_);
  const auto at = found(modules_, module, "module");
  std::erase_if(functions_, [&](const auto& entry) { return entry.first.first == module; });
  modules_.erase(at);
}

LoadedFunction* Gpu::function(const Module* module, const std::string& name) {
  const Lock lock(mutex_);
  expect_alive();
  const Kernel& kernel = (*found(modules_, module, "module"))->kernel(name);
  LoadedFunction& function = functions_[{module, name}];
  function.kernel = &kernel;
  return &function;
}

void Gpu::allow_shared(LoadedFunction* function, uint32_t bytes) {
  const Lock lock(mutex_);
  const auto most = static_cast<uint32_t>(options_.most_shared);
  if (bytes > most - std::min(most, function->kernel->static_shared)) {
    fail(Kind::device, "emulated GPU: kernel ", function->kernel->name, " wants ", bytes,
         " bytes of dynamic shared memory beside ", function->kernel->static_shared, " static ones");
  }
  function->dynamic_limit = bytes;
}

void Gpu::launch(const LoadedFunction* function, Dim3 grid, Dim3 block, uint32_t shared,
                 const void* const* values, const LazyStream* stream) {
  const Lock lock(mutex_);
  const LoadedFunction now = *function;
  const Launch launch = {grid, block, shared, now.dynamic_limit, pack_parameters(*now.kernel, values)};
  enqueue(stream, [this, now, launch] { run(now, launch); });
}

void Gpu::enqueue_work(const LazyStream* stream, std::function<void(Memory&)> work) {
  enqueue(stream, [this, work = std::move(work)] { work(memory_); });
}

void Gpu::run(const LoadedFunction& function, const Launch& launch) {
  const LaunchOptions options = {.seed = options_.seed, .threads = options_.threads};
  show_launch(memory_, *function.kernel, launch, options);
  const Report report = emulator::launch(memory_, *function.kernel, launch, options);
  note_use(function.kernel->name, report.counters);
  if (!report.faults.empty()) fail(Kind::device, told(*function.kernel, report));
}

std::shared_ptr<LazyStream> Gpu::known(const LazyStream* stream) const {
  return *found(streams_, stream, "stream");
}

Moment* Gpu::known(const Moment* event) const { return found(events_, event, "event")->get(); }

void Gpu::enqueue(const LazyStream* stream, std::function<void()> item) {
  const Lock lock(mutex_);
  expect_alive();
  const auto known_stream = known(stream);
  if (known_stream->is_captured) {
    known_stream->captured.push_back(std::move(item));
    return;
  }
  known_stream->items.push_back(std::move(item));
  ++known_stream->queued;
}

void Gpu::run_until(LazyStream& stream, uint64_t position) {
  while (stream.done < position) {
    const auto item = std::move(stream.items.front());
    stream.items.pop_front();
    ++stream.done;
    try {
      item();
    } catch (const Error& error) {
      fault_ = error.what();
      throw;
    }
  }
}

}  // namespace gristmill::emulator
