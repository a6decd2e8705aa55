#include "client/cli/connection_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "actioncluster/json.h"
#include "client/cli/connect_command.h"

namespace actioncluster::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

v1::Connection Ann() {
  v1::Connection connection;
  connection.set_id("ann");
  connection.set_node_id("node-1");
  connection.set_type("robot");
  connection.add_rooms("a");
  connection.add_rooms("b\x1b[31m");
  (*connection.mutable_attributes())["z"] = client::ToValue(1);
  (*connection.mutable_attributes())["a"] = client::ToValue("x\n");
  return connection;
}

TEST(ConnectionTextTest, AConnectionIsShownInLinesWithWhatOthersWroteEscaped) {
  const std::string text = FormatConnection(Ann());
  EXPECT_THAT(text, HasSubstr("connection     ann\nnode           node-1\ntype           robot\n"));
  EXPECT_THAT(text, HasSubstr("rooms          a, b\\u001b[31m\n"));
  EXPECT_THAT(text, HasSubstr("attributes     {\"a\":\"x\\n\",\"z\":1}\n"));
  EXPECT_THAT(text, HasSubstr("params         -\n"));
}

TEST(ConnectionTextTest, AListHasALineForEach) {
  v1::ConnectionServiceListResponse list;
  *list.add_connections() = Ann();
  const std::string text = FormatConnections(list);
  EXPECT_THAT(text, HasSubstr("CONNECTION"));
  EXPECT_THAT(text, HasSubstr("\nann "));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
}

TEST(ConnectionTextTest, ARoomIsShownWithItsMembers) {
  v1::RoomServiceStatusResponse status;
  status.set_room("hall");
  EXPECT_THAT(FormatRoom(status), HasSubstr("history        none\nhooks          -\n"));
  EXPECT_THAT(FormatRoom(status), Not(HasSubstr("CONNECTION")));
  status.set_members_count(1);
  status.mutable_history()->mutable_keep_for()->set_seconds(90);
  status.mutable_hooks()->add_required("join");
  status.mutable_hooks()->add_required("leave");
  status.mutable_hooks()->mutable_timeout()->set_seconds(3);
  status.add_members()->set_connection_id("ann");
  const std::string text = FormatRoom(status);
  EXPECT_THAT(text, HasSubstr("members        1\n"));
  EXPECT_THAT(text, HasSubstr("history        messages of 1m30s\nhooks          join, leave within 3s\n"));
  EXPECT_THAT(text, HasSubstr("\nann "));
}

TEST(ConnectionTextTest, HistoriesAreDescribedByWhatTheyKeep) {
  v1::RoomHistory history;
  EXPECT_EQ(DescribeHistory(false, history), "none");
  history.set_messages(100);
  EXPECT_EQ(DescribeHistory(true, history), "100 messages");
  history.mutable_keep_for()->set_seconds(60);
  EXPECT_EQ(DescribeHistory(true, history), "100 messages of 1m");
}

TEST(LineBufferTest, LinesComeOnceTheyAreComplete) {
  LineBuffer lines;
  EXPECT_THAT(lines.Add("on"), IsEmpty());
  EXPECT_THAT(lines.Add("e\n\ntwo\nth"), ElementsAre("one", "", "two"));
  EXPECT_EQ(lines.rest(), "th");
  EXPECT_THAT(lines.Add("ree\n"), ElementsAre("three"));
  EXPECT_EQ(lines.rest(), "");
}

}  // namespace
}  // namespace actioncluster::cli
