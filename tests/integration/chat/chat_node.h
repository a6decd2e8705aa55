#ifndef ACTIONCLUSTER_TESTS_INTEGRATION_CHAT_CHAT_NODE_H_
#define ACTIONCLUSTER_TESTS_INTEGRATION_CHAT_CHAT_NODE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "backplane/bus/bus.h"
#include "backplane/chat/room_feed.h"
#include "backplane/chat/room_store.h"
#include "backplane/keys/keys.h"
#include "backplane/redis/client.h"
#include "backplane/scripts/scripts.h"
#include "glog/logging.h"
#include "tests/fakes/loop_thread.h"
#include "tests/fakes/redis_server.h"
#include "tests/fakes/waiter.h"

namespace actioncluster {

// What a node has of rooms: a thread, a command connection, a bus, the store and the feed. Notes what it hears. Blocking.
class ChatNode {
 public:
  static constexpr char kToken[] = "the token of the test cluster";

  // Something heard: `said`, `change`, `interrupted` or `resumed`.
  struct Heard {
    std::string what;
    std::string room = "";
    std::string from = "";
    std::string body = "";
    uint64_t offset = 0;
    internal::v1::RoomChange change = {};
  };

  // Listens when the constructor returns. Boots have 16 characters.
  ChatNode(const fakes::RedisServer& redis, const std::string& boot) : boot_(boot), listener_(heard_) {
    const fakes::Waiter<bool> listening;
    const fakes::Waiter<absl::Status> states;
    thread_.Run([&] {
      parts_ = std::make_unique<Parts>(thread_.loop(), redis.endpoint(), keys_);
      parts_->feed.AddListener(&listener_);
      parts_->bus.OnState(states.Callback());
      parts_->bus.Begin(boot, [listening] { listening.Add(true); });
      parts_->bus.SetName(absl::StrCat("node-of-", boot));
    });
    listening.Next();
    CHECK(states.NextThat([](const absl::Status& state) { return state.ok(); }).ok());
  }
  ~ChatNode() {
    thread_.Run([this] { parts_.reset(); });
  }

  // Calls a method of the store, and gives what its callback heard.
  template <class T, class Start>
  absl::StatusOr<T> Ask(Start start) {
    const fakes::Waiter<absl::StatusOr<T>> waiter;
    thread_.Run([&] { start(parts_->store, waiter.Callback()); });
    return waiter.Next();
  }

  absl::StatusOr<absl::Time> Create(const std::string& room, const internal::v1::RoomRecord& record = {}) {
    return Ask<absl::Time>([&](RoomStore& store, auto done) { store.Create(room, record, std::move(done)); });
  }
  absl::StatusOr<int64_t> Destroy(const std::string& room) {
    return Ask<int64_t>([&](RoomStore& store, auto done) { store.Destroy(room, std::move(done)); });
  }
  absl::StatusOr<RoomView> Read(const std::string& room) {
    return Ask<RoomView>([&](RoomStore& store, auto done) { store.Read(room, std::move(done)); });
  }
  RoomStore::RoomPage List(const std::string& prefix = "", const std::string& after = "", int limit = 100) {
    return Ask<RoomStore::RoomPage>(
               [&](RoomStore& store, auto done) { store.List(prefix, after, limit, std::move(done)); })
        .value();
  }
  std::vector<internal::v1::RoomMemberRecord> Members(const std::string& room) {
    std::vector<internal::v1::RoomMemberRecord> all;
    uint64_t cursor = 0;
    do {
      const RoomStore::MemberPage page = Ask<RoomStore::MemberPage>([&](RoomStore& store, auto done) {
                                           store.Members(room, cursor, std::move(done));
                                         }).value();
      all.insert(all.end(), page.members.begin(), page.members.end());
      cursor = page.next;
    } while (cursor != 0);
    return all;
  }
  // A member of this node.
  internal::v1::RoomMemberRecord Member(const std::string& id, int64_t joined_at_us = 0) const {
    internal::v1::RoomMemberRecord member;
    member.set_connection_id(id);
    member.set_node_id(absl::StrCat("node-of-", boot_));
    member.set_boot_id(boot_);
    member.set_type("browser");
    member.set_joined_at_us(joined_at_us);
    return member;
  }
  absl::StatusOr<RoomStore::Joined> Join(const std::string& room, const std::string& id, int64_t joined_at_us = 0) {
    return Ask<RoomStore::Joined>(
        [&](RoomStore& store, auto done) { store.Join(room, Member(id, joined_at_us), std::move(done)); });
  }
  int64_t Leave(const std::string& room, const std::vector<std::string>& ids,
                internal::v1::RoomChange::Kind kind = internal::v1::RoomChange::KIND_LEFT) {
    std::vector<internal::v1::RoomMemberRecord> members;
    members.reserve(ids.size());
    for (const std::string& id : ids) members.push_back(Member(id));
    return Ask<int64_t>([&](RoomStore& store, auto done) { store.Leave(room, boot_, members, kind, std::move(done)); })
        .value();
  }
  absl::StatusOr<RoomSaid> Say(const std::string& room, const std::string& body, const std::string& from = "x") {
    return StartSaying(room, {body}, from).Next();
  }
  // All in one moment.
  fakes::Waiter<absl::StatusOr<RoomSaid>> StartSaying(const std::string& room, const std::vector<std::string>& bodies,
                                                      const std::string& from = "x") {
    const fakes::Waiter<absl::StatusOr<RoomSaid>> said;
    thread_.Run([&] {
      for (const std::string& body : bodies) {
        RoomSaying saying{.from = from, .content = {.kind = Content::Kind::kBytes, .body = body}};
        parts_->store.Say(room, std::move(saying), said.Callback());
      }
    });
    return said;
  }
  absl::StatusOr<RoomStore::History> ReadHistory(const std::string& room, uint64_t offset, int limit = 1000) {
    return Ask<RoomStore::History>(
        [&](RoomStore& store, auto done) { store.ReadHistory(room, offset, limit, std::move(done)); });
  }

  fakes::Waiter<absl::Status> StartWanting(const std::string& room) {
    const fakes::Waiter<absl::Status> listening;
    thread_.Run([&] { parts_->feed.Want(room, listening.Callback()); });
    return listening;
  }
  absl::Status Want(const std::string& room) { return StartWanting(room).Next(); }
  void Unwant(const std::string& room) {
    thread_.Run([&] { parts_->feed.Unwant(room); });
  }
  Heard Next() { return heard_.Next(); }
  template <class Predicate>
  Heard NextThat(Predicate predicate) {
    return heard_.NextThat(predicate);
  }
  // The next one that is a change.
  internal::v1::RoomChange NextChange() {
    return heard_.NextThat([](const Heard& heard) { return heard.what == "change"; }).change;
  }
  size_t unread() const { return heard_.size(); }

  const std::string& boot() const { return boot_; }
  const Keys& keys() const { return keys_; }
  fakes::LoopThread& thread() { return thread_; }
  RoomFeed& feed() { return parts_->feed; }

 private:
  class Listener : public RoomFeed::Listener {
   public:
    explicit Listener(fakes::Waiter<Heard> heard) : heard_(std::move(heard)) {}
    void OnSaying(const RoomFeed::Incoming& saying) override {
      heard_.Add({.what = "said",
                  .room = std::string(saying.room),
                  .from = std::string(saying.from),
                  .body = std::string(saying.body),
                  .offset = saying.offset});
    }
    void OnChange(const internal::v1::RoomChange& change, absl::Time) override {
      heard_.Add({.what = "change", .room = change.room(), .change = change});
    }
    void OnInterrupted() override { heard_.Add({.what = "interrupted"}); }
    void OnResumed() override { heard_.Add({.what = "resumed"}); }

   private:
    const fakes::Waiter<Heard> heard_;
  };
  struct Parts {
    Parts(Loop& loop, const redis::Endpoint& endpoint, const Keys& keys)
        : client(loop, Link(endpoint), scripts::All()),
          bus(loop, client, Link(endpoint), keys, Sealer::Create(kToken, "test").value(),
              {.canary_every = absl::Milliseconds(100)}),
          store(loop, client, bus, keys),
          feed(loop, bus, keys) {}
    static redis::LinkOptions Link(const redis::Endpoint& endpoint) {
      redis::LinkOptions options;
      options.endpoint = endpoint;
      return options;
    }

    redis::Client client;
    Bus bus;
    RoomStore store;
    RoomFeed feed;
  };

  const std::string boot_;
  const Keys keys_{fakes::kNamespace};
  const fakes::Waiter<Heard> heard_;
  Listener listener_;
  fakes::LoopThread thread_;
  std::unique_ptr<Parts> parts_;
};

inline std::vector<std::string> IdsOf(const internal::v1::RoomChange& change) {
  std::vector<std::string> ids;
  for (const internal::v1::RoomMemberRecord& member : change.members()) ids.push_back(member.connection_id());
  return ids;
}

inline internal::v1::RoomRecord WithHistory(uint32_t messages, absl::Duration keep_for = absl::ZeroDuration()) {
  internal::v1::RoomRecord record;
  record.set_history_messages(messages);
  record.set_history_us(absl::ToInt64Microseconds(keep_for));
  return record;
}

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_TESTS_INTEGRATION_CHAT_CHAT_NODE_H_
