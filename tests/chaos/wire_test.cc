#include "tests/chaos/wire.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>

#include <cstdint>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"

namespace actioncluster::chaos {
namespace {

constexpr absl::Time kNow = absl::UnixEpoch();
constexpr uint16_t kPort = 40'000;
constexpr uint16_t kRedis = 6379;
constexpr uint32_t kSequence = 0xFFFFFFFF;
constexpr uint32_t kExpected = 1'000'000;

uint32_t Address(size_t end) {
  in_addr address;
  EXPECT_EQ(inet_pton(AF_INET, Wire::AddressOf(end).c_str(), &address), 1);
  return address.s_addr;
}

template <typename Header>
std::string Bytes(const Header& header) {
  return std::string(reinterpret_cast<const char*>(&header), sizeof header);
}

std::string Packet(size_t from, size_t to, const tcphdr& tcp, absl::string_view content = "") {
  iphdr ip = {};
  ip.version = 4;
  ip.ihl = 5;
  ip.protocol = IPPROTO_TCP;
  ip.tot_len = htons(static_cast<uint16_t>(sizeof ip + sizeof tcp + content.size()));
  ip.saddr = Address(from);
  ip.daddr = Address(to);
  return absl::StrCat(Bytes(ip), Bytes(tcp), content);
}

tcphdr Tcp(bool ack) {
  tcphdr tcp = {};
  tcp.source = htons(kPort);
  tcp.dest = htons(kRedis);
  tcp.seq = htonl(kSequence);
  tcp.doff = 5;
  tcp.syn = ack ? 0 : 1;
  tcp.ack = ack ? 1 : 0;
  tcp.ack_seq = ack ? htonl(kExpected) : 0;
  return tcp;
}

std::string Packet(size_t from, size_t to) { return Packet(from, to, Tcp(true), "PING"); }

// The sum that is zero over what bears its own checksum.
uint16_t Sum(absl::string_view bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); i += 2) {
    sum += static_cast<uint32_t>(static_cast<uint8_t>(bytes[i])) << 8 | static_cast<uint8_t>(bytes[i + 1]);
  }
  while (sum > 0xFFFF) sum = (sum & 0xFFFF) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

struct Reset {
  iphdr ip;
  tcphdr tcp;
};

Reset Parse(const std::string& packet) {
  Reset reset = {};
  EXPECT_EQ(packet.size(), sizeof reset.ip + sizeof reset.tcp);
  std::memcpy(&reset.ip, packet.data(), sizeof reset.ip);
  std::memcpy(&reset.tcp, packet.data() + sizeof reset.ip, sizeof reset.tcp);
  return reset;
}

TEST(WireTest, PacketArrivesAtTheEndWhoseAddressItBears) {
  const Wire wire(3);
  const std::string packet = Packet(2, 1);
  const std::optional<Wire::Delivery> delivery = wire.Pass(2, packet, kNow);
  ASSERT_TRUE(delivery.has_value());
  EXPECT_EQ(delivery->end, 1U);
  EXPECT_EQ(delivery->due, kNow);
  EXPECT_EQ(delivery->packet, packet);
}

TEST(WireTest, WhatIsForNoEndOrNoIpv4IsLost) {
  const Wire wire(3);
  EXPECT_FALSE(wire.Pass(0, Packet(0, 3), kNow).has_value());
  EXPECT_FALSE(wire.Pass(0, "", kNow).has_value());
  EXPECT_FALSE(wire.Pass(0, Packet(0, 1).substr(0, 19), kNow).has_value());
  std::string v6 = Packet(0, 1);
  v6[0] = 0x60;
  EXPECT_FALSE(wire.Pass(0, v6, kNow).has_value());
}

TEST(WireTest, SilentWayLosesPacketsInBothDirectionsUntilItIsOpenAgain) {
  Wire wire(3);
  wire.SetWay(2, 1, Wire::Way::kSilent);
  EXPECT_FALSE(wire.Pass(1, Packet(1, 2), kNow).has_value());
  EXPECT_FALSE(wire.Pass(2, Packet(2, 1), kNow).has_value());
  wire.SetWay(1, 2, Wire::Way::kOpen);
  EXPECT_TRUE(wire.Pass(1, Packet(1, 2), kNow).has_value());
  EXPECT_TRUE(wire.Pass(2, Packet(2, 1), kNow).has_value());
}

TEST(WireTest, OtherWaysStayOpen) {
  Wire wire(3);
  wire.SetWay(2, 1, Wire::Way::kSilent);
  EXPECT_TRUE(wire.Pass(0, Packet(0, 2), kNow).has_value());
  EXPECT_TRUE(wire.Pass(1, Packet(1, 0), kNow).has_value());
}

TEST(WireTest, PacketIsLateOnALongWay) {
  Wire wire(3);
  wire.SetDelay(1, 2, absl::Milliseconds(70));
  for (const auto& [from, to] : {std::pair(1, 2), std::pair(2, 1)}) {
    const std::optional<Wire::Delivery> delivery = wire.Pass(from, Packet(from, to), kNow);
    ASSERT_TRUE(delivery.has_value());
    EXPECT_EQ(delivery->due, kNow + absl::Milliseconds(70));
  }
  EXPECT_EQ(wire.Pass(0, Packet(0, 1), kNow)->due, kNow);
}

TEST(WireTest, RefusingWayAnswersTheSenderWithTheResetThatItsConnectionTakes) {
  Wire wire(3);
  wire.SetWay(1, 2, Wire::Way::kRefusing);
  const std::optional<Wire::Delivery> answer = wire.Pass(2, Packet(2, 1), kNow);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->end, 2U);
  const Reset reset = Parse(answer->packet);
  EXPECT_EQ(reset.ip.saddr, Address(1));
  EXPECT_EQ(reset.ip.daddr, Address(2));
  EXPECT_EQ(ntohs(reset.tcp.source), kRedis);
  EXPECT_EQ(ntohs(reset.tcp.dest), kPort);
  EXPECT_EQ(reset.tcp.rst, 1);
  EXPECT_EQ(ntohl(reset.tcp.seq), kExpected);
}

TEST(WireTest, ConnectionThatIsToBeginIsRefused) {
  const std::optional<std::string> answer = ResetFor(Packet(2, 1, Tcp(false)));
  ASSERT_TRUE(answer.has_value());
  const Reset reset = Parse(*answer);
  EXPECT_EQ(reset.tcp.rst, 1);
  EXPECT_EQ(reset.tcp.ack, 1);
  EXPECT_EQ(ntohl(reset.tcp.ack_seq), 0U);  // One more than the sequence number, which was the greatest.
}

TEST(WireTest, ResetBearsTheRightChecksums) {
  for (const bool ack : {false, true}) {
    const std::optional<std::string> answer = ResetFor(Packet(2, 1, Tcp(ack)));
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(Sum(answer->substr(0, sizeof(iphdr))), 0);
    // The addresses, the protocol, and the length, before TCP's own.
    EXPECT_EQ(
        Sum(absl::StrCat(answer->substr(12, 8), absl::string_view("\0\6\0\24", 4), answer->substr(sizeof(iphdr)))), 0);
  }
}

TEST(WireTest, ResetAndWhatIsNotTcpAreNotAnswered) {
  tcphdr tcp = Tcp(true);
  tcp.rst = 1;
  EXPECT_FALSE(ResetFor(Packet(2, 1, tcp)).has_value());
  std::string udp = Packet(2, 1);
  udp[9] = IPPROTO_UDP;
  EXPECT_FALSE(ResetFor(udp).has_value());
  EXPECT_FALSE(ResetFor(Packet(2, 1).substr(0, sizeof(iphdr) + sizeof(tcphdr) - 1)).has_value());
}

}  // namespace
}  // namespace actioncluster::chaos
