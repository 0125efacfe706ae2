#include "runtime/device.hpp"

#include "runtime/arena_exchange.hpp"

namespace gristmill::runtime {

std::unique_ptr<ArenaExchange> Device::open_link(Collective&) { return nullptr; }

}  // namespace gristmill::runtime
