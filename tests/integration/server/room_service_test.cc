// Rooms from the server side, through whole nodes inside this process, on one Redis.
#include <grpcpp/client_context.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "google/rpc/error_info.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "server/grpc/content.h"
#include "tests/fakes/redis_server.h"
#include "tests/integration/server/local_node.h"
#include "tests/integration/server/open_client.h"

namespace actioncluster {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Stub = v1::RoomService::Stub;
using Watched = v1::WatchRoomResponse;

google::rpc::ErrorInfo InfoOf(const grpc::Status& status) {
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  if (details.ParseFromString(status.error_details()) && details.details_size() > 0) details.details(0).UnpackTo(&info);
  return info;
}

// One WatchRoom, read by a thread of its own.
class Watcher {
 public:
  Watcher(LocalNode& node, const std::string& room) {
    v1::WatchRoomRequest request;
    request.set_room(room);
    reader_ = node.chat().WatchRoom(&context_, request);
    thread_ = std::thread([this] {
      Watched frame;
      while (reader_->Read(&frame)) frames_.Add(frame);
      end_.Add(reader_->Finish());
    });
  }
  ~Watcher() {
    context_.TryCancel();
    thread_.join();
  }
  Watched Next() const { return frames_.Next(); }
  // The next frame must be of this kind; gives the ids in it.
  std::vector<std::string> Next(Watched::Kind kind) const {
    const Watched frame = Next();
    EXPECT_EQ(frame.kind(), kind) << frame.ShortDebugString();
    std::vector<std::string> ids;
    for (const v1::RoomMember& member : frame.members()) ids.push_back(member.connection_id());
    return ids;
  }
  grpc::Status AwaitEnd() const { return end_.Next(); }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<Watched>> reader_;
  fakes::Waiter<Watched> frames_;
  fakes::Waiter<grpc::Status> end_;
  std::thread thread_;
};

class RoomServiceTest : public ::testing::Test {
 protected:
  template <class Request, class Response>
  static grpc::Status Ask(LocalNode& node, grpc::Status (Stub::*rpc)(grpc::ClientContext*, const Request&, Response*),
                          const Request& request, Response* response) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + fakes::kPatience));
    return (node.chat().*rpc)(&context, request, response);
  }
  static grpc::Status Create(LocalNode& node, const std::string& room, uint32_t history = 0) {
    v1::RoomServiceCreateRequest request;
    request.set_room(room);
    if (history > 0) request.mutable_history()->set_messages(history);
    v1::RoomServiceCreateResponse response;
    return Ask(node, &Stub::Create, request, &response);
  }
  static grpc::Status Destroy(LocalNode& node, const std::string& room) {
    v1::RoomServiceDestroyRequest request;
    request.set_room(room);
    v1::RoomServiceDestroyResponse response;
    return Ask(node, &Stub::Destroy, request, &response);
  }
  static bool Exists(LocalNode& node, const std::string& room) {
    v1::RoomServiceExistsRequest request;
    request.set_room(room);
    v1::RoomServiceExistsResponse response;
    EXPECT_TRUE(Ask(node, &Stub::Exists, request, &response).ok());
    return response.exists();
  }
  static grpc::Status Add(LocalNode& node, const std::string& id, const std::string& room) {
    v1::AddMemberRequest request;
    request.set_connection_id(id);
    request.set_room(room);
    v1::AddMemberResponse response;
    return Ask(node, &Stub::AddMember, request, &response);
  }
  static grpc::Status Remove(LocalNode& node, const std::string& id, const std::string& room) {
    v1::RemoveMemberRequest request;
    request.set_connection_id(id);
    request.set_room(room);
    v1::RemoveMemberResponse response;
    return Ask(node, &Stub::RemoveMember, request, &response);
  }
  static grpc::Status Broadcast(LocalNode& node, const std::string& room, const std::string& data,
                                const std::string& from = "", v1::BroadcastResponse* response = nullptr) {
    v1::BroadcastRequest request;
    request.set_room(room);
    request.set_data(data);
    request.set_from_connection_id(from);
    v1::BroadcastResponse ignored;
    return Ask(node, &Stub::Broadcast, request, response == nullptr ? &ignored : response);
  }
  static std::vector<std::string> Members(LocalNode& node, const std::string& room) {
    v1::RoomServiceStatusRequest request;
    request.set_room(room);
    v1::RoomServiceStatusResponse response;
    EXPECT_TRUE(Ask(node, &Stub::Status, request, &response).ok());
    std::vector<std::string> ids;
    for (const v1::RoomMember& member : response.members()) ids.push_back(member.connection_id());
    EXPECT_EQ(response.members_count(), ids.size());
    return ids;
  }

  fakes::RedisServer redis_;
  LocalNode one_{redis_.endpoint()};
  std::optional<LocalNode> two_{std::in_place, redis_.endpoint()};
  OpenClient client_{two_->NewChannel()};
};

TEST_F(RoomServiceTest, RoomsAreMadeListedAndEnded) {
  EXPECT_FALSE(Exists(one_, "a"));
  for (const char* room : {"b", "a", "c"}) ASSERT_TRUE(Create(one_, room).ok());
  EXPECT_EQ(InfoOf(Create(*two_, "a")).reason(), "ROOM_EXISTS");
  EXPECT_TRUE(Exists(*two_, "a"));
  v1::RoomServiceListRequest list;
  list.set_page_size(2);
  std::vector<std::string> names;
  do {
    v1::RoomServiceListResponse page;
    ASSERT_TRUE(Ask(one_, &Stub::List, list, &page).ok());
    for (const auto& room : page.rooms()) names.push_back(room.room());
    list.set_page_token(page.next_page_token());
  } while (!list.page_token().empty());
  EXPECT_THAT(names, ElementsAre("a", "b", "c"));
  ASSERT_TRUE(Destroy(*two_, "a").ok());
  EXPECT_FALSE(Exists(one_, "a"));
  EXPECT_EQ(InfoOf(Destroy(one_, "a")).reason(), "ROOM_NOT_FOUND");
}

TEST_F(RoomServiceTest, BadRequestsAreRefusedAndSayWhy) {
  const std::string long_name(257, 'x');
  EXPECT_THAT(Create(one_, "").error_message(), HasSubstr("room"));
  EXPECT_THAT(Create(one_, long_name).error_message(), HasSubstr("room"));
  EXPECT_THAT(Create(one_, "a", 10'001).error_message(), HasSubstr("10000"));
  EXPECT_EQ(Destroy(one_, "").error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_THAT(Add(one_, "", "a").error_message(), HasSubstr("connection_id"));
  EXPECT_THAT(Remove(one_, "c", "").error_message(), HasSubstr("room"));
  EXPECT_THAT(Broadcast(one_, "", "x").error_message(), HasSubstr("room"));
  EXPECT_THAT(Broadcast(one_, "a", "x", long_name).error_message(), HasSubstr("from_connection_id"));
  EXPECT_EQ(InfoOf(Broadcast(one_, "a", std::string(kMaxContentBytes + 1, 'x'))).reason(), "LIMIT_EXCEEDED");
  v1::RoomServiceListRequest list;
  v1::RoomServiceListResponse rooms;
  list.set_page_size(1001);
  EXPECT_THAT(Ask(one_, &Stub::List, list, &rooms).error_message(), HasSubstr("page_size"));
  v1::RoomServiceStatusRequest status;
  v1::RoomServiceStatusResponse members;
  status.set_room("no such room");
  EXPECT_EQ(InfoOf(Ask(one_, &Stub::Status, status, &members)).reason(), "ROOM_NOT_FOUND");
  status.set_page_size(-1);
  EXPECT_THAT(Ask(one_, &Stub::Status, status, &members).error_message(), HasSubstr("page_size"));
}

TEST_F(RoomServiceTest, AConnectionOnAnotherNodeIsPutInAndTakenOut) {
  client_.Hello("c");
  ASSERT_TRUE(Create(one_, "a").ok());
  ASSERT_TRUE(Add(one_, "c", "a").ok());
  EXPECT_EQ(InfoOf(Add(one_, "c", "a")).reason(), "ALREADY_MEMBER");
  EXPECT_EQ(InfoOf(Add(one_, "c", "no such room")).reason(), "ROOM_NOT_FOUND");
  EXPECT_EQ(InfoOf(Add(one_, "nobody", "a")).reason(), "CONNECTION_NOT_FOUND");
  EXPECT_THAT(Members(one_, "a"), ElementsAre("c"));
  ASSERT_TRUE(Remove(one_, "c", "a").ok());
  EXPECT_EQ(client_.Next().left().reason(), "removed");
  EXPECT_EQ(InfoOf(Remove(one_, "c", "a")).reason(), "NOT_MEMBER");
  EXPECT_THAT(Members(one_, "a"), IsEmpty());
}

TEST_F(RoomServiceTest, WhatIsBroadcastIsHeardByMembersAndSaysWhoSaidIt) {
  client_.Hello("c");
  OpenClient other(one_.NewChannel());
  other.Hello("other");
  ASSERT_TRUE(Create(one_, "a", 10).ok());
  ASSERT_TRUE(Add(one_, "c", "a").ok());
  v1::BroadcastResponse said;
  ASSERT_TRUE(Broadcast(one_, "a", "by nobody", "", &said).ok());
  EXPECT_GT(said.offset(), 0u);
  const v1::OpenResponse heard = client_.Next();
  EXPECT_EQ(heard.message().data(), "by nobody");
  EXPECT_EQ(heard.message().context(), "system");
  EXPECT_EQ(heard.message().offset(), said.offset());
  const uint64_t before = said.offset();
  ASSERT_TRUE(Broadcast(one_, "a", "by c", "c", &said).ok());
  EXPECT_GT(said.offset(), before);
  const v1::OpenResponse own = client_.Next();
  EXPECT_EQ(own.message().from(), "c");
  EXPECT_EQ(own.message().context(), "user");
  EXPECT_EQ(InfoOf(Broadcast(*two_, "a", "x", "other")).reason(), "NOT_MEMBER");
  EXPECT_EQ(InfoOf(Broadcast(*two_, "a", "x", "nobody")).reason(), "CONNECTION_NOT_FOUND");
  EXPECT_EQ(InfoOf(Broadcast(*two_, "no such room", "x")).reason(), "ROOM_NOT_FOUND");
}

TEST_F(RoomServiceTest, ARequiredHookThatNobodyOffersRefusesWhatTheServerSideSays) {
  v1::RoomServiceCreateRequest request;
  request.set_room("a");
  request.mutable_hooks()->add_required("say.receive");
  v1::RoomServiceCreateResponse response;
  ASSERT_TRUE(Ask(one_, &Stub::Create, request, &response).ok());
  EXPECT_EQ(InfoOf(Broadcast(one_, "a", "x")).reason(), "BACKPLANE_UNAVAILABLE");
}

TEST_F(RoomServiceTest, WatchersSeeWhoIsThereThenEachChange) {
  client_.Hello("c");
  OpenClient other(one_.NewChannel());
  other.Hello("other");
  ASSERT_TRUE(Create(one_, "a").ok());
  ASSERT_TRUE(Add(one_, "c", "a").ok());
  Watcher watcher(one_, "a");
  const Watched snapshot = watcher.Next();
  EXPECT_EQ(snapshot.kind(), Watched::KIND_SNAPSHOT);
  EXPECT_FALSE(snapshot.more());
  ASSERT_EQ(snapshot.members_size(), 1);
  EXPECT_EQ(snapshot.members(0).connection_id(), "c");
  EXPECT_EQ(snapshot.members(0).node_id(), two_->id());
  EXPECT_GT(snapshot.members(0).joined_at().seconds(), 0);
  ASSERT_TRUE(Add(*two_, "other", "a").ok());
  const Watched joined = watcher.Next();
  EXPECT_EQ(joined.kind(), Watched::KIND_JOINED);
  ASSERT_EQ(joined.members_size(), 1);
  EXPECT_EQ(joined.members(0).connection_id(), "other");
  EXPECT_GT(joined.members(0).joined_at().seconds(), 0);
  Watcher late(one_, "a");
  EXPECT_THAT(late.Next(Watched::KIND_SNAPSHOT), ElementsAre("c", "other"));
  ASSERT_TRUE(Remove(one_, "c", "a").ok());
  other.Cancel();
  for (Watcher* each : {&watcher, &late}) {
    EXPECT_THAT(each->Next(Watched::KIND_LEFT), ElementsAre("c"));
    EXPECT_THAT(each->Next(Watched::KIND_LOST), ElementsAre("other"));
  }
}

TEST_F(RoomServiceTest, ARoomThatIsNotThereOrNoMoreEndsTheWatch) {
  Watcher none(one_, "no such room");
  EXPECT_EQ(InfoOf(none.AwaitEnd()).reason(), "ROOM_NOT_FOUND");
  Watcher bad(one_, "");
  EXPECT_EQ(bad.AwaitEnd().error_code(), grpc::INVALID_ARGUMENT);
  ASSERT_TRUE(Create(one_, "a").ok());
  Watcher watcher(one_, "a");
  EXPECT_THAT(watcher.Next(Watched::KIND_SNAPSHOT), IsEmpty());
  ASSERT_TRUE(Destroy(*two_, "a").ok());
  EXPECT_EQ(InfoOf(watcher.AwaitEnd()).reason(), "ROOM_NOT_FOUND");
  ASSERT_TRUE(Create(one_, "a").ok());
  Watcher again(one_, "a");
  EXPECT_THAT(again.Next(Watched::KIND_SNAPSHOT), IsEmpty());
}

TEST_F(RoomServiceTest, MembersOfANodeThatIsGoneAreLostOnce) {
  client_.Hello("c");
  OpenClient other(one_.NewChannel());
  other.Hello("other");
  ASSERT_TRUE(Create(one_, "a").ok());
  for (const char* id : {"c", "other"}) ASSERT_TRUE(Add(one_, id, "a").ok());
  Watcher watcher(one_, "a");
  EXPECT_THAT(watcher.Next(Watched::KIND_SNAPSHOT), ElementsAre("c", "other"));
  client_.Cancel();
  two_.reset();
  EXPECT_THAT(watcher.Next(Watched::KIND_LOST), ElementsAre("c"));
  ASSERT_TRUE(Remove(one_, "other", "a").ok());
  EXPECT_THAT(watcher.Next(Watched::KIND_LEFT), ElementsAre("other")) << "and nothing in between";
}

TEST_F(RoomServiceTest, WhereChangesMayBeLostWatchersSeeAllAnew) {
  client_.Hello("c");
  ASSERT_TRUE(Create(one_, "a").ok());
  ASSERT_TRUE(Add(one_, "c", "a").ok());
  Watcher watcher(one_, "a");
  EXPECT_THAT(watcher.Next(Watched::KIND_SNAPSHOT), ElementsAre("c"));
  const fakes::Waiter<absl::Status> other;
  two_->io().Run([&] { two_->rooms().bus.OnState(other.Callback()); });
  redis_.Command({"CLIENT", "KILL", "TYPE", "pubsub"});
  EXPECT_THAT(watcher.Next(Watched::KIND_SNAPSHOT), ElementsAre("c"));
  EXPECT_FALSE(other.NextThat([](const absl::Status& state) { return !state.ok(); }).ok());
  EXPECT_TRUE(other.NextThat([](const absl::Status& state) { return state.ok(); }).ok());
  ASSERT_TRUE(Remove(one_, "c", "a").ok());
  EXPECT_THAT(watcher.Next(Watched::KIND_LEFT), ElementsAre("c"));
}

}  // namespace
}  // namespace actioncluster
