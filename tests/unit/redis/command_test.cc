#include "backplane/redis/command.h"

#include "gtest/gtest.h"

namespace actioncluster::redis {
namespace {

TEST(CommandTest, IsBinarySafe) {
  const std::string binary("a\0\r\n", 4);
  EXPECT_EQ(Command({"SET", "k", binary}).wire(), "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\n" + binary + "\r\n");
}

TEST(CommandTest, EmptyArgumentsStayArguments) {
  EXPECT_EQ(Command({"ECHO", ""}).wire(), "*2\r\n$4\r\nECHO\r\n$0\r\n\r\n");
  EXPECT_EQ(Command({"ECHO", absl::string_view()}).wire(), "*2\r\n$4\r\nECHO\r\n$0\r\n\r\n");
  EXPECT_EQ(Command(std::vector<std::string>{"ECHO", ""}).wire(), "*2\r\n$4\r\nECHO\r\n$0\r\n\r\n");
}

TEST(CommandTest, AScriptIsCalledByItsHashWithKeysBeforeArguments) {
  const Script script = {"s", "return 1", "0123"};
  const Command command = Command::Call(script, {"k1", "k2"}, {"a"});
  EXPECT_EQ(command.wire(), Command({"EVALSHA", "0123", "2", "k1", "k2", "a"}).wire());
  EXPECT_TRUE(command.is_script());
  EXPECT_FALSE(Command({"PING"}).is_script());
}

}  // namespace
}  // namespace actioncluster::redis
