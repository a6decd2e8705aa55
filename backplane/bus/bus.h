#ifndef ACTIONCLUSTER_BACKPLANE_BUS_BUS_H_
#define ACTIONCLUSTER_BACKPLANE_BUS_BUS_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "backplane/bus/sealer.h"
#include "backplane/domain/clock.h"
#include "backplane/keys/keys.h"
#include "backplane/redis/client.h"
#include "backplane/redis/loop.h"

namespace actioncluster {

struct BusOptions {
  absl::Duration canary_every = absl::Seconds(1);
  absl::Duration canary_timeout =
      absl::Seconds(3);                       // Without a canary for so long the subscriber connection is made anew.
  absl::Duration max_age = absl::Minutes(1);  // Older envelopes are dropped.
};

// What the bus has seen. Atomics: read them from any thread.
struct BusCounters {
  std::atomic<uint64_t> published{0};
  // Genuine and new, and of another boot, a canary of ours, or of a kind that we want back.
  std::atomic<uint64_t> accepted{0};
  std::atomic<uint64_t> own{0};                               // Our own, come back on a shared channel; not handled.
  std::array<std::atomic<uint64_t>, kRejections> rejected{};  // By Rejection.
};

// Carries signed envelopes between nodes over Redis pub/sub: seals and sends, receives, verifies, and hands on to the one handler of each kind
// of body. At most once: a message is lost when a connection is.
//
// It also keeps the node's knowledge of Redis's clock, and proves itself: a canary is published to the node's own channel and must come back.
//
// Confined to the I/O thread; callbacks run on it, never inside the calls.
class Bus {
 public:
  using Body = internal::v1::Envelope::BodyCase;
  // `sent_at`: when the sender stamped it, in this node's monotonic time.
  using Handler = absl::AnyInvocable<void(const internal::v1::Envelope& envelope, absl::Time sent_at)>;
  using Receivers = absl::AnyInvocable<void(absl::StatusOr<int64_t>) &&>;
  using StateListener = absl::AnyInvocable<void(const absl::Status& state)>;

  // The references outlive the bus. `subscriber` configures the bus' own second connection, to the database that `keys` is for.
  Bus(Loop& loop, redis::Client& commands, redis::LinkOptions subscriber, const Keys& keys, Sealer sealer,
      BusOptions options = {});
  ~Bus();

  // Takes up the identity of a boot: from now on it signs as that boot, and listens on the channel of all nodes and on its own. `listening` runs once both are
  // confirmed and Redis's clock is known. Called again with another boot when the node rejoins: the former channel is given up, and its
  // `listening` dropped unrun if it was still waiting.
  void Begin(const std::string& boot_id, absl::AnyInvocable<void() &&> listening);
  // The name that the boot has claimed; it is in what is sent from now on.
  void SetName(const std::string& node_id);

  // What becomes of this node's own envelopes when they come back on a channel that it listens on.
  enum class Own { kDrop, kHandle };
  // One handler for each kind of body, set before Begin. A body without one is dropped.
  void Handle(Body body, Handler handler, Own own = Own::kDrop);

  // Listens on one more channel; `listening` runs when Redis has confirmed it and its clock is known: what is sent from then on is heard. It is
  // dropped unrun if the channel is given up before, or the bus destroyed.
  void Listen(const std::string& channel, absl::AnyInvocable<void() &&> listening);
  void StopListening(const std::string& channel);
  // Gives up the boot's own channel, for good: who sends something there from now on is told that nobody listens. `deaf` runs when all that came before was handled, or cannot come any more; it is
  // dropped unrun if the bus is destroyed. Once, after Begin; the other channels, and publishing, go on.
  void EndBoot(absl::AnyInvocable<void() &&> deaf);

  // Stamps, seals and publishes. `envelope` has its body set; the bus fills the rest. `done` hears how many connections Redis gave it to (a
  // hint: monitors and half-open sockets count), or why it may not have been sent: BACKPLANE_UNAVAILABLE; LIMIT_EXCEEDED past 8 MiB. Envelopes
  // leave in the order of the calls.
  void Publish(const std::string& channel, internal::v1::Envelope envelope, Receivers done);
  // Publishes several as one: nobody else's message comes between them, and they are sent all or none. `done` hears the sum.
  struct Outgoing {
    std::string channel;
    internal::v1::Envelope envelope;
  };
  void PublishTogether(std::vector<Outgoing> messages, Receivers done);

  // Stamps and seals for a script that publishes the bytes itself, as the last thing that it does to them, or after a postmark: `\2`, a number in decimal, `:`. Those who hear it find the number in
  // `Envelope.postmark`; it is as true as Redis, and no MAC covers it. What is sealed first for a channel must be published there first. Errors: BACKPLANE_UNAVAILABLE; LIMIT_EXCEEDED past 8 MiB.
  absl::StatusOr<std::string> Seal(const std::string& channel, internal::v1::Envelope envelope);
  // Opens what was sealed for the channel and then kept, however long ago, by whichever node with our token. Nothing: it is something else.
  std::optional<internal::v1::Envelope> Unseal(const std::string& channel, absl::string_view sealed) const;

  // Asks Redis which of these boots have nobody listening on their channel. One round trip.
  void FindDeaf(std::vector<std::string> boots,
                absl::AnyInvocable<void(absl::StatusOr<std::vector<std::string>>) &&> deaf);

  // OK: Redis answers commands, all channels are confirmed, and canaries come back. Otherwise BACKPLANE_UNAVAILABLE, and why.
  // Listeners hear each change, a loss of the subscriber connection (a gap: replies may be lost) always, however short.
  absl::Status state() const;
  void OnState(StateListener listener);
  // Redis answers commands, whatever has become of the subscriber.
  bool CanPublish() const;

  const RedisClock& clock() const;
  const BusCounters& counters() const;
  const std::string& key_fingerprint() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_BUS_BUS_H_
