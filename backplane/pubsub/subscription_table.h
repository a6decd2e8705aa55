#ifndef ACTIONCLUSTER_BACKPLANE_PUBSUB_SUBSCRIPTION_TABLE_H_
#define ACTIONCLUSTER_BACKPLANE_PUBSUB_SUBSCRIPTION_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "backplane/pubsub/interest.h"

namespace actioncluster {

// The subscribers of one node, and the feeds that bring them their messages.
//
// Every message comes twice: by the feed of its type, and by the feed of all types; a node takes only those that somebody wants. A subscriber that names types
// alone hears each by its own feed; one that has a pattern hears everything by the feed of all types, also the types that it names. So each
// message reaches a subscriber by exactly one feed, and what one publisher says stays in order, without comparing copies.
//
// A subscriber is complete when Redis has confirmed all its feeds; before, it hears nothing.
//
// Does no I/O. Confined to the I/O thread.
class SubscriptionTable {
 public:
  using Id = uint64_t;
  // Of one message type; nothing: of all types.
  using Feed = std::optional<std::string>;

  // What adding and removing asks of the driver.
  struct Added {
    std::vector<Feed> listen;  // To be listened to from now on.
    bool complete = false;     // Nothing needs to be awaited.
  };
  // The id is new; the interest is not empty.
  Added Add(Id id, Interest interest);
  // Gives the feeds that nobody wants any more. Unknown: nothing happens.
  std::vector<Feed> Remove(Id id);

  // Redis has confirmed the feed. Gives the subscribers that are complete by it, in the order of their ids.
  std::vector<Id> Confirmed(const Feed& feed);

  // The complete subscribers that hear a message of this type when it comes by this feed, in the order of their ids.
  // Patterns are matched once for each type, and again after a change.
  std::vector<Id> Audience(const Feed& feed, absl::string_view type);

  // In the order of their ids.
  std::vector<Id> Complete() const;

  size_t size() const { return subscribers_.size(); }

 private:
  struct Subscriber {
    Interest interest;
    size_t unconfirmed = 0;  // Of its feeds.
  };
  struct Listened {
    bool confirmed = false;
    absl::btree_set<Id> subscribers;
  };
  static std::vector<Feed> FeedsOf(const Interest& interest);
  std::vector<Id> Match(const Feed& feed, absl::string_view type) const;

  absl::flat_hash_map<Id, Subscriber> subscribers_;
  std::map<Feed, Listened> feeds_;
  absl::flat_hash_map<std::string, std::vector<Id>> matched_;  // By type: the audience by the feed of all types.
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_PUBSUB_SUBSCRIPTION_TABLE_H_
