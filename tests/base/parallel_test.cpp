#include "base/parallel.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.hpp"

using namespace gristmill;

namespace {

std::function<std::optional<int>()> count_to(int end) {
  return [end, next = 0]() mutable -> std::optional<int> {
    if (next == end) return std::nullopt;
    return next++;
  };
}

}  // namespace

TEST_CASE("results leave in the order of the source for any number of threads", "[base]") {
  for (const int threads : {0, 1, 2, 3, 8}) {
    std::vector<int> out;
    ordered_parallel<int, int>(
        threads, count_to(500),
        [](int&& i) {
          if (i % 7 == 0) std::this_thread::sleep_for(std::chrono::microseconds(50));
          return i * i;
        },
        [&](int&& value) { out.push_back(value); });
    REQUIRE(out.size() == 500);
    for (int i = 0; i < 500; ++i) REQUIRE(out[static_cast<size_t>(i)] == i * i);
  }
}

TEST_CASE("an empty source ends at once", "[base]") {
  for (const int threads : {1, 4}) {
    bool called = false;
    ordered_parallel<int, int>(
        threads, count_to(0), [](int&& i) { return i; }, [&](int&&) { called = true; });
    CHECK_FALSE(called);
  }
}

TEST_CASE("items need not be copyable", "[base]") {
  int left = 20, sum = 0;
  ordered_parallel<std::unique_ptr<int>, std::unique_ptr<int>>(
      2,
      [&]() -> std::optional<std::unique_ptr<int>> {
        if (left == 0) return std::nullopt;
        return std::make_unique<int>(left--);
      },
      [](std::unique_ptr<int>&& item) { return std::move(item); },
      [&](std::unique_ptr<int>&& item) { sum += *item; });
  CHECK(sum == 210);
}

TEST_CASE("an exception of source, map or sink arrives after the results of the items before it", "[base]") {
  for (const int threads : {1, 2, 8}) {
    for (const std::string who : {"source", "map", "sink"}) {
      CAPTURE(threads, who);
      const auto break_at = [&](const char* part, int i) {
        if (who == part && i >= 50) throw std::runtime_error(who + std::to_string(i));
      };
      std::atomic<int> read{0};
      std::vector<int> out;
      const auto run = [&] {
        ordered_parallel<int, int>(
            threads,
            [&]() -> std::optional<int> {
              break_at("source", read);
              return read++;
            },
            [&](int&& i) {
              break_at("map", i);
              return i;
            },
            [&](int&& i) {
              break_at("sink", i);
              out.push_back(i);
            });
      };
      CHECK_THROWS_WITH(run(), who + "50");
      CHECK(out.size() == 50);
      CHECK(read <= 50 + 4 * std::max(threads, 1) + 1);
    }
  }
}

TEST_CASE("a finished result leaves while the source waits for its next item", "[base]") {
  std::mutex mutex;
  std::condition_variable changed;
  bool left = false;
  bool in_time = false;
  int reads = 0;
  ordered_parallel<int, int>(
      2,
      [&]() -> std::optional<int> {
        if (reads++ == 0) return 1;
        std::unique_lock lock(mutex);
        in_time = changed.wait_for(lock, std::chrono::seconds(10), [&] { return left; });
        return std::nullopt;
      },
      [](int&& i) { return i; },
      [&](int&&) {
        const std::scoped_lock lock(mutex);
        left = true;
        changed.notify_all();
      });
  CHECK(in_time);
}

TEST_CASE("no more than four items a thread are in flight", "[base]") {
  std::atomic<int> read{0}, written{0}, most{0};
  ordered_parallel<int, int>(
      2,
      [&]() -> std::optional<int> {
        if (read == 300) return std::nullopt;
        const int flying = ++read - written;
        if (flying > most) most = flying;
        return 0;
      },
      [](int&& i) { return i; },
      [&](int&&) {
        std::this_thread::sleep_for(std::chrono::microseconds(20));
        ++written;
      });
  CHECK(written == 300);
  CHECK(most <= 2 * 4 + 2);  // the one just read and the one just handed over
}

TEST_CASE("a pool calls the body once for each item, loop after loop", "[base]") {
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    CHECK(pool.threads() == threads);
    for (const size_t count : {0u, 1u, 2u, 3u, 1000u}) {
      std::vector<std::atomic<int>> calls(count);
      pool.run(count, [&](size_t i) { ++calls[i]; });
      for (const auto& n : calls) REQUIRE(n == 1);
    }
  }
  ThreadPool pool(3);
  std::atomic<int> sum{0};
  for (int round = 0; round < 2000; ++round) pool.run(3, [&](size_t i) { sum += static_cast<int>(i); });
  CHECK(sum == 6000);
}

TEST_CASE("a loop inside a loop runs in its caller", "[base]") {
  ThreadPool pool(3);
  std::atomic<int> calls{0};
  pool.run(10, [&](size_t) {
    const auto self = std::this_thread::get_id();
    pool.run(10, [&, self](size_t) { calls += std::this_thread::get_id() == self; });
  });
  CHECK(calls == 100);
}

TEST_CASE("of several exceptions in a loop that of the first item is rethrown, and the pool lives on",
          "[base]") {
  for (const int threads : {1, 4}) {
    ThreadPool pool(threads);
    for (int round = 0; round < 50; ++round) {
      CHECK_THROWS_WITH(pool.run(20,
                                 [](size_t i) {
                                   if (i % 5 == 3) throw std::runtime_error("item " + std::to_string(i));
                                 }),
                        "item 3");
    }
    std::atomic<int> calls{0};
    pool.run(20, [&](size_t) { ++calls; });
    CHECK(calls == 20);
  }
}

TEST_CASE("at least one thread is available", "[base]") { CHECK(available_threads() >= 1); }
