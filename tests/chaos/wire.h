#ifndef ACTIONCLUSTER_TESTS_CHAOS_WIRE_H_
#define ACTIONCLUSTER_TESTS_CHAOS_WIRE_H_

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace actioncluster::chaos {

// What becomes of the packets between the ends of a network, each of which has one IPv4 address: where they arrive, when, and whether at all. Does no I/O and reads no clock. Confined to one thread.
class Wire {
 public:
  // The way between two ends, in both directions.
  enum class Way {
    kOpen,
    kSilent,    // Packets are lost, and nobody is told, as where a cable is cut beyond the next switch.
    kRefusing,  // Packets are lost, and TCP's are answered with a reset, as by a firewall: who sends hears at once that there is no connection.
  };

  // A packet that arrives.
  struct Delivery {
    size_t end;
    absl::Time due;
    std::string packet;
  };

  explicit Wire(size_t ends);

  static std::string AddressOf(size_t end);

  void SetWay(size_t one, size_t other, Way way) { At(one, other).way = way; }
  // Each packet takes so much longer, either way. Not those that are under way.
  void SetDelay(size_t one, size_t other, absl::Duration delay) { At(one, other).delay = delay; }

  // A packet that the end `from` has sent. Nothing: it is lost, as is whatever is not for an end's IPv4 address.
  std::optional<Delivery> Pass(size_t from, absl::string_view packet, absl::Time now) const;

 private:
  struct Between {
    Way way = Way::kOpen;
    absl::Duration delay = absl::ZeroDuration();
  };

  using Pair = std::pair<size_t, size_t>;  // The lower one first.

  static Pair PairOf(size_t one, size_t other) { return {std::min(one, other), std::max(one, other)}; }
  Between& At(size_t one, size_t other) { return between_[PairOf(one, other)]; }

  const size_t ends_;
  std::map<Pair, Between> between_;  // None: open.
};

// The reset that a firewall answers a TCP packet with. Nothing: it is none, or a reset itself.
std::optional<std::string> ResetFor(absl::string_view packet);

}  // namespace actioncluster::chaos

#endif  // ACTIONCLUSTER_TESTS_CHAOS_WIRE_H_
