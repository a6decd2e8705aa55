// What may come from the other end of a connection to Redis: any bytes, cut anywhere. Nothing crashes, and every command ends exactly once.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "backplane/redis/command_core.h"
#include "backplane/redis/reply_reader.h"
#include "backplane/redis/subscriber_core.h"
#include "glog/logging.h"

namespace actioncluster::redis {
namespace {

constexpr Script kScript = {"fuzz", "return 1", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"};

// Cuts the input: the first byte says how long the pieces are, the rest is what Redis says.
class Pieces {
 public:
  explicit Pieces(absl::string_view input)
      : length_(input.empty() ? 1 : 1 + static_cast<unsigned char>(input[0]) % 64),
        rest_(input.substr(input.empty() ? 0 : 1)) {}

  bool empty() const { return rest_.empty(); }
  // In storage of its own, so that a look past its end, or at it later on, is found.
  std::string Next() {
    const std::string piece(rest_.substr(0, length_));
    rest_.remove_prefix(piece.size());
    return piece;
  }

 private:
  const size_t length_;
  absl::string_view rest_;
};

void Look(ReplyView view, int depth) {
  (void)view.String();
  (void)view.Integer();
  (void)view.error();
  CHECK(view[view.size()].is_nil());
  if (depth > 64) return;
  for (size_t i = 0; i < view.size() && i < 100; ++i) Look(view[i], depth + 1);
}

void ReadReplies(Pieces pieces) {
  ReplyReader reader;
  while (!pieces.empty()) {
    const std::string piece = pieces.Next();
    reader.Feed(piece);
    while (true) {
      const absl::StatusOr<std::optional<Reply>> reply = reader.Next();
      if (!reply.ok()) return;
      if (!reply->has_value()) break;
      Look((*reply)->view(), 0);
    }
  }
}

// Feeds the core as Link does: until it says that the connection is of no use.
template <typename Core, typename Meanwhile>
void Converse(Core& core, absl::string_view greeting, Pieces pieces, Meanwhile meanwhile) {
  absl::Time now = absl::UnixEpoch();
  absl::Status status = core.Feed(greeting, now);
  std::string out;
  while (status.ok() && !pieces.empty()) {
    meanwhile(now);
    core.TakeOutput(&out);
    now += absl::Milliseconds(100);
    absl::Time next;
    status = core.Feed(pieces.Next(), now);
    if (status.ok()) status = core.Tick(now, &next);
  }
  core.Closed(status.ok() ? absl::UnavailableError("the end") : status);
}

void SendCommands(Pieces pieces) {
  std::vector<int> ended;
  CommandCore core(LinkOptions(), {kScript});
  core.Opened(absl::UnixEpoch());
  Converse(core, "+PONG\r\n$40\r\ne0e1f9fabfc9d4800c877a703b823ac0578ff8db\r\n", pieces, [&](absl::Time now) {
    if (!core.ready()) return;
    const size_t index = ended.size();
    ended.push_back(0);
    const auto done = [&ended, index](absl::StatusOr<Reply> reply) {
      ++ended[index];
      if (reply.ok()) Look(reply->view(), 0);
    };
    core.Execute(index % 2 == 0 ? Command({"GET", "key"}) : Command::Call(kScript, {"key"}, {}),
                 now + absl::Milliseconds(350), now, done);
  });
  for (const int times : ended) CHECK_EQ(times, 1);
}

void KeepSubscribed(Pieces pieces) {
  int confirmed = 0;
  SubscriberCore core(LinkOptions(), [](absl::string_view channel, absl::string_view payload) {
    CHECK_LE(channel.size() + payload.size(), 4096u);
  });
  core.Subscribe("a", absl::UnixEpoch(), [&] { ++confirmed; });
  core.Opened(absl::UnixEpoch());
  int turn = 0;
  Converse(core, "+PONG\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n", pieces, [&](absl::Time now) {
    if (++turn % 3 == 1) core.Subscribe("b", now, [] {});
    if (turn % 3 == 0) core.Unsubscribe("b", now);
  });
  CHECK_EQ(confirmed, 1);
}

}  // namespace
}  // namespace actioncluster::redis

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const actioncluster::redis::Pieces pieces(absl::string_view(reinterpret_cast<const char*>(data), size));
  actioncluster::redis::ReadReplies(pieces);
  actioncluster::redis::SendCommands(pieces);
  actioncluster::redis::KeepSubscribed(pieces);
  return 0;
}
