#include "client/cli/dump_file.h"

#include <openssl/sha.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace actioncluster::cli {
namespace {

constexpr absl::string_view kAnyVersion = "actioncluster dump ";
constexpr absl::string_view kStart = "actioncluster dump 1\n";
constexpr char kEntry = 'E';
constexpr char kEnd = 'Z';
constexpr size_t kLengthBytes = 4;
constexpr size_t kCountBytes = 8;
constexpr size_t kProofBytes = 8;
constexpr size_t kBuffer = size_t{256} * 1024;

std::string Chain(absl::string_view before, absl::string_view frame) {
  const std::string text = absl::StrCat(before, frame);
  std::string chain(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
         reinterpret_cast<unsigned char*>(chain.data()));
  return chain;
}

std::string Number(uint64_t number, size_t bytes) {
  std::string text;
  text.reserve(bytes);
  for (size_t i = 0; i < bytes; ++i) text += static_cast<char>(number >> (8 * i));
  return text;
}

uint64_t NumberOf(absl::string_view bytes) {
  uint64_t number = 0;
  for (size_t i = 0; i < bytes.size(); ++i) number |= uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  return number;
}

}  // namespace

DumpWriter::DumpWriter(Sink sink) : sink_(std::move(sink)), unwritten_(kStart), chain_(Chain("", kStart)) {
  bytes_ = unwritten_.size();
}

absl::Status DumpWriter::Add(const v1::DumpEntry& entry) {
  const std::string payload = entry.SerializeAsString();
  if (payload.size() > kMostDumpEntryBytes) {
    return absl::ResourceExhaustedError(absl::StrCat("an entry has ", payload.size(), " bytes: too many for a file"));
  }
  const std::string frame = absl::StrCat(std::string(1, kEntry), Number(payload.size(), kLengthBytes), payload);
  chain_ = Chain(chain_, frame);
  absl::StrAppend(&unwritten_, frame, chain_.substr(0, kProofBytes));
  bytes_ += frame.size() + kProofBytes;
  ++entries_;
  return Flush(kBuffer);
}

absl::Status DumpWriter::Finish() {
  const std::string frame = absl::StrCat(std::string(1, kEnd), Number(entries_, kCountBytes));
  chain_ = Chain(chain_, frame);
  absl::StrAppend(&unwritten_, frame, chain_);
  bytes_ += frame.size() + chain_.size();
  return Flush(0);
}

absl::Status DumpWriter::Flush(size_t at_least) {
  if (unwritten_.size() < at_least) return absl::OkStatus();
  absl::Status written = sink_(unwritten_);
  unwritten_.clear();
  return written;
}

DumpReader::DumpReader(std::string path, std::FILE* file, uint64_t size)
    : path_(std::move(path)), file_(file), size_(size) {}

absl::StatusOr<std::unique_ptr<DumpReader>> DumpReader::Open(const std::string& path) {
  const auto cannot = [&path](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat(path, " cannot be read: ", why));
  };
  std::FILE* const file = std::fopen(path.c_str(), "rbe");
  if (file == nullptr) return cannot(std::strerror(errno));
  std::setvbuf(file, nullptr, _IOFBF, kBuffer);
  struct stat status;
  const bool known = fstat(fileno(file), &status) == 0;
  auto reader = absl::WrapUnique(new DumpReader(path, file, known ? static_cast<uint64_t>(status.st_size) : 0));
  // It is read twice.
  if (!known || !S_ISREG(status.st_mode)) return cannot("it is no file");
  if (absl::Status start = reader->ReadStart(); !start.ok()) return start;
  return reader;
}

absl::Status DumpReader::Corrupt(uint64_t at, absl::string_view why) const {
  return absl::DataLossError(absl::StrCat(path_, " is bad at byte ", at, ": ", why));
}

absl::StatusOr<std::string> DumpReader::Read(size_t count, uint64_t from) {
  std::string bytes(count, '\0');
  const size_t got = std::fread(bytes.data(), 1, count, file_.get());
  position_ += got;
  if (got == count) return bytes;
  if (std::ferror(file_.get()) != 0) {
    return absl::InvalidArgumentError(absl::StrCat(path_, " cannot be read at byte ", position_));
  }
  return Corrupt(position_, absl::StrCat("it is cut here, within what begins at byte ", from));
}

absl::Status DumpReader::ReadStart() {
  std::string start(kStart.size(), '\0');
  start.resize(std::fread(start.data(), 1, start.size(), file_.get()));
  position_ = start.size();
  if (start == kStart) {
    chain_ = Chain("", kStart);
    return absl::OkStatus();
  }
  if (absl::StartsWith(kStart, start)) return Corrupt(start.size(), "it is cut here, in its first line");
  const auto differs = std::mismatch(start.begin(), start.end(), kStart.begin()).first;
  const auto at = static_cast<uint64_t>(differs - start.begin());
  return Corrupt(at, at < kAnyVersion.size() ? "this is no dump of a cache" : "this is a dump of another version");
}

absl::StatusOr<bool> DumpReader::Next(v1::DumpEntry* entry) {
  const uint64_t from = position_;
  absl::StatusOr<std::string> frame = Read(1, from);
  if (!frame.ok()) return frame.status();
  if (frame->front() == kEnd) return ReadEnd(from, *std::move(frame));
  if (frame->front() != kEntry) return Corrupt(from, "neither an entry nor the end begins so");
  const absl::StatusOr<std::string> length = Read(kLengthBytes, from);
  if (!length.ok()) return length.status();
  const uint64_t bytes = NumberOf(*length);
  if (bytes > kMostDumpEntryBytes) return Corrupt(from + 1, "no entry is as long as this says");
  if (position_ + bytes > size_) {
    return Corrupt(from + 1, absl::StrCat("the entry that begins at byte ", from,
                                          " goes beyond the end of the file: it is cut, or this length is wrong"));
  }
  const absl::StatusOr<std::string> payload = Read(bytes, from);
  if (!payload.ok()) return payload.status();
  const absl::StatusOr<std::string> proof = Read(kProofBytes, from);
  if (!proof.ok()) return proof.status();
  absl::StrAppend(&*frame, *length, *payload);
  chain_ = Chain(chain_, *frame);
  if (chain_.substr(0, kProofBytes) != *proof) {
    return Corrupt(from,
                   absl::StrCat("the entry that begins here, up to byte ", position_, ", is not as it was written"));
  }
  if (!entry->ParseFromString(*payload)) return Corrupt(from, "what begins here is no entry");
  ++entries_;
  return true;
}

absl::StatusOr<bool> DumpReader::ReadEnd(uint64_t from, std::string frame) {
  const absl::StatusOr<std::string> count = Read(kCountBytes, from);
  if (!count.ok()) return count.status();
  const absl::StatusOr<std::string> proof = Read(SHA256_DIGEST_LENGTH, from);
  if (!proof.ok()) return proof.status();
  absl::StrAppend(&frame, *count);
  chain_ = Chain(chain_, frame);
  if (chain_ != *proof) return Corrupt(from, "the end that begins here is not as it was written");
  if (NumberOf(*count) != entries_) return Corrupt(from, "the number of entries is another");
  if (std::fgetc(file_.get()) != EOF) return Corrupt(position_, "something follows the end");
  return false;
}

std::string DumpReader::Digest() const { return absl::BytesToHexString(chain_); }

}  // namespace actioncluster::cli
