#ifndef ACTIONCLUSTER_TESTS_INTEGRATION_SERVER_CACHE_SCANS_FIXTURE_H_
#define ACTIONCLUSTER_TESTS_INTEGRATION_SERVER_CACHE_SCANS_FIXTURE_H_

#include <grpcpp/client_context.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "actioncluster/v1/cache.grpc.pb.h"
#include "gtest/gtest.h"
#include "tests/fakes/redis_server.h"
#include "tests/integration/server/local_node.h"

// A node with a Redis of its own, for what walks over its whole cache.
namespace actioncluster {

using v1::DumpEntry;

inline DumpEntry Bytes(const std::string& key, const std::string& data) {
  DumpEntry entry;
  entry.set_key(key);
  entry.set_data(data);
  return entry;
}
inline DumpEntry Part(const std::string& key, int64_t offset, bool last, int items) {
  DumpEntry entry;
  entry.set_key(key);
  entry.mutable_list()->set_offset(offset);
  entry.mutable_list()->set_last(last);
  for (int i = 0; i < items; ++i) entry.mutable_list()->add_items()->set_data(absl::StrCat(offset + i));
  return entry;
}

class CacheScansTest : public testing::Test {
 protected:
  static std::unique_ptr<grpc::ClientContext> NewContext() {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    return context;
  }

  void Save(const std::string& key, const std::string& data) {
    v1::SaveRequest request;
    request.set_key(key);
    request.set_data(data);
    v1::SaveResponse response;
    EXPECT_TRUE(node_.cache().Save(NewContext().get(), request, &response).ok());
  }
  // As Save writes them, by the thousand.
  void Fill(int count, int bytes) {
    redis_.Command({"EVAL",
                    "for i = 1, tonumber(ARGV[1]) do redis.call('SET', 'v{actioncluster:c:key ' .. i .. '}',"
                    " struct.pack('>I8I8I8I8B', 1, 0, 0, i, 2) .. string.rep('x', tonumber(ARGV[2]))) end",
                    "0", absl::StrCat(count), absl::StrCat(bytes)});
  }
  int64_t Size(const std::string& prefix = "") {
    v1::SizeRequest request;
    request.set_prefix(prefix);
    v1::SizeResponse response;
    EXPECT_TRUE(node_.cache().Size(NewContext().get(), request, &response).ok());
    return response.size();
  }
  std::vector<DumpEntry> Dump(const std::string& prefix = "") {
    v1::DumpRequest request;
    request.set_prefix(prefix);
    const auto context = NewContext();
    const auto stream = node_.cache().Dump(context.get(), request);
    std::vector<DumpEntry> entries;
    v1::DumpResponse frame;
    bool ended = false;
    while (stream->Read(&frame)) {
      EXPECT_FALSE(ended) << "a frame after the end";
      ended = frame.has_end();
      if (ended) {
        EXPECT_EQ(frame.end().entries(), static_cast<int64_t>(entries.size()));
      }
      if (frame.has_entry()) entries.push_back(frame.entry());
    }
    EXPECT_TRUE(ended);
    EXPECT_TRUE(stream->Finish().ok());
    return entries;
  }

  static v1::RestoreRequest Begin(const std::string& id, bool keep = false) {
    v1::RestoreRequest frame;
    frame.mutable_begin()->set_restore_id(id);
    frame.mutable_begin()->set_keep_existing(keep);
    return frame;
  }
  static v1::RestoreRequest End(int64_t entries) {
    v1::RestoreRequest frame;
    frame.mutable_end()->set_entries(entries);
    return frame;
  }
  static std::vector<v1::RestoreRequest> Frames(const std::string& id, const std::vector<DumpEntry>& entries,
                                                bool keep = false) {
    std::vector<v1::RestoreRequest> frames = {Begin(id, keep)};
    for (const DumpEntry& entry : entries) *frames.emplace_back().mutable_entry() = entry;
    frames.push_back(End(static_cast<int64_t>(entries.size())));
    return frames;
  }
  grpc::Status Restore(const std::vector<v1::RestoreRequest>& frames, v1::RestoreResponse* response) {
    const auto context = NewContext();
    const auto stream = node_.cache().Restore(context.get(), response);
    for (const v1::RestoreRequest& frame : frames) {
      if (!stream->Write(frame)) break;
    }
    stream->WritesDone();
    return stream->Finish();
  }
  v1::RestoreResponse MustRestore(const std::vector<v1::RestoreRequest>& frames) {
    v1::RestoreResponse response;
    const grpc::Status status = Restore(frames, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  // How often Redis has run a command.
  int64_t Calls(const std::string& command) {
    const auto reply = redis_.Command({"INFO", "commandstats"});
    const std::string text(*reply.view().String());
    const std::string name = absl::StrCat("cmdstat_", command, ":calls=");
    const size_t at = text.find(name);
    if (at == std::string::npos) return 0;
    int64_t calls = 0;
    EXPECT_TRUE(absl::SimpleAtoi(text.substr(at + name.size(), text.find(',', at) - at - name.size()), &calls));
    return calls;
  }
  // Redis runs full somewhere in the middle, after so many bytes more, with what it needs for itself: what is written until then stays.
  void CutRestore(const std::vector<DumpEntry>& entries, int64_t bytes = 200'000) {
    const auto used = redis_.Command({"INFO", "memory"});
    const std::string text(*used.view().String());
    int64_t memory = 0;
    const size_t at = text.find("used_memory:") + 12;
    ASSERT_TRUE(absl::SimpleAtoi(text.substr(at, text.find('\r', at) - at), &memory));
    redis_.Command({"CONFIG", "SET", "maxmemory", absl::StrCat(memory + bytes)});
    v1::RestoreResponse response;
    EXPECT_EQ(Restore(Frames("r", entries), &response).error_code(), grpc::StatusCode::UNAVAILABLE);
    redis_.Command({"CONFIG", "SET", "maxmemory", "0"});
    // As if some seconds had passed: whoever goes on with it need not wait for this call.
    redis_.Command({"HSET", "p{actioncluster:c:r}", "until", "1"});
  }
  v1::ClearResponse Clear(const std::string& prefix = "") {
    v1::ClearRequest request;
    request.set_prefix(prefix);
    v1::ClearResponse response;
    EXPECT_TRUE(node_.cache().Clear(NewContext().get(), request, &response).ok());
    return response;
  }
  int64_t Length(const std::string& list) {
    return *redis_.Command({"LLEN", absl::StrCat("q{actioncluster:c:", list, "}")}).view().Integer();
  }
  // Of the cache, but for what is known of restores.
  int64_t KeyCount() { return static_cast<int64_t>(redis_.Command({"KEYS", "[^p]{actioncluster:c:*"}).view().size()); }
  int64_t RestoreCount() { return static_cast<int64_t>(redis_.Command({"KEYS", "p{actioncluster:c:*"}).view().size()); }

  fakes::RedisServer& redis_ = fakes::EmptyRedis(/*cluster=*/false);
  LocalNode node_{redis_.endpoint()};
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_TESTS_INTEGRATION_SERVER_CACHE_SCANS_FIXTURE_H_
