#include "tests/chaos/wire.h"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>

#include <cstdint>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"

namespace actioncluster::chaos {
namespace {

constexpr uint32_t kNetwork = 10U << 24 | 77U << 16;  // 10.77.0.0/24: it is nobody else's, in namespaces of our own.
constexpr size_t kMaxEnds = 254;

constexpr size_t kIpHeader = sizeof(iphdr);
constexpr size_t kTcpHeader = sizeof(tcphdr);

// The header at this place; nothing if the packet is too short.
template <typename Header>
std::optional<Header> HeaderAt(absl::string_view packet, size_t place) {
  Header header;
  if (packet.size() < place + sizeof header) return std::nullopt;
  std::memcpy(&header, packet.data() + place, sizeof header);
  return header;
}

std::optional<iphdr> IpOf(absl::string_view packet) {
  const std::optional<iphdr> ip = HeaderAt<iphdr>(packet, 0);
  return ip.has_value() && ip->version == IPVERSION ? ip : std::nullopt;
}

// The Internet checksum of `bytes`, of which there is an even number, on top of a sum.
uint16_t Checksum(absl::string_view bytes, uint32_t sum) {
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) {
    uint16_t word;
    std::memcpy(&word, bytes.data() + i, sizeof word);
    sum += word;
  }
  while (sum > 0xFFFF) sum = (sum & 0xFFFF) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

template <typename Header>
absl::string_view BytesOf(const Header& header) {
  return {reinterpret_cast<const char*>(&header), sizeof header};
}

// What TCP's checksum is also about.
uint32_t PseudoHeader(const iphdr& ip) {
  const uint32_t addresses = (ip.saddr & 0xFFFF) + (ip.saddr >> 16) + (ip.daddr & 0xFFFF) + (ip.daddr >> 16);
  return addresses + htons(IPPROTO_TCP) + htons(kTcpHeader);
}

}  // namespace

Wire::Wire(size_t ends) : ends_(ends) { CHECK_LE(ends, kMaxEnds); }

std::string Wire::AddressOf(size_t end) { return absl::StrCat("10.77.0.", end + 1); }

std::optional<Wire::Delivery> Wire::Pass(size_t from, absl::string_view packet, absl::Time now) const {
  const std::optional<iphdr> ip = IpOf(packet);
  if (!ip.has_value()) return std::nullopt;
  const uint32_t to = ntohl(ip->daddr) - kNetwork - 1;
  if (to >= ends_) return std::nullopt;
  const auto found = between_.find(PairOf(from, to));
  const Between between = found == between_.end() ? Between() : found->second;
  if (between.way == Way::kOpen) return Delivery{to, now + between.delay, std::string(packet)};
  if (between.way == Way::kSilent) return std::nullopt;
  std::optional<std::string> reset = ResetFor(packet);
  return reset.has_value() ? std::make_optional(Delivery{from, now, *std::move(reset)}) : std::nullopt;
}

std::optional<std::string> ResetFor(absl::string_view packet) {
  const std::optional<iphdr> ip = IpOf(packet);
  if (!ip.has_value() || ip->protocol != IPPROTO_TCP) return std::nullopt;
  const std::optional<tcphdr> tcp = HeaderAt<tcphdr>(packet, size_t{4} * ip->ihl);
  if (!tcp.has_value() || tcp->rst != 0) return std::nullopt;

  iphdr ip_answer = {};
  ip_answer.version = IPVERSION;
  ip_answer.ihl = kIpHeader / 4;
  ip_answer.tot_len = htons(kIpHeader + kTcpHeader);
  ip_answer.ttl = IPDEFTTL;
  ip_answer.protocol = IPPROTO_TCP;
  ip_answer.saddr = ip->daddr;
  ip_answer.daddr = ip->saddr;
  ip_answer.check = Checksum(BytesOf(ip_answer), 0);

  tcphdr answer = {};
  answer.source = tcp->dest;
  answer.dest = tcp->source;
  answer.doff = kTcpHeader / 4;
  answer.rst = 1;
  if (tcp->ack != 0) {
    answer.seq = tcp->ack_seq;  // What it expects next: it takes no other.
  } else {
    answer.ack = 1;  // Only the first packet of a connection has none; it is told which one is meant.
    answer.ack_seq = htonl(ntohl(tcp->seq) + 1);
  }
  answer.check = Checksum(BytesOf(answer), PseudoHeader(ip_answer));
  return absl::StrCat(BytesOf(ip_answer), BytesOf(answer));
}

}  // namespace actioncluster::chaos
