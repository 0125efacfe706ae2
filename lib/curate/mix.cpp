#include "curate/mix.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <limits>
#include <optional>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/log.hpp"
#include "base/progress.hpp"
#include "base/rng.hpp"
#include "base/str.hpp"
#include "curate/batch.hpp"
#include "curate/spool.hpp"
#include "shard/reader.hpp"
#include "shard/record.hpp"

namespace gristmill::curate {

namespace {

struct Item {
  uint64_t offset;
  uint32_t size;        ///< bytes of the record
  uint32_t text_bytes;  ///< what it weighs
};

struct Domain {
  std::string name;
  double weight = 0;  ///< normalised: all together 1
  std::vector<Item> items;
  uint64_t bytes = 0;  ///< of text, in one epoch

  double quota = 0;      ///< bytes to write
  double phase = 0;      ///< head start, so that domains of equal quota do not march in step
  uint64_t written = 0;  ///< bytes
  uint64_t documents = 0;
  uint64_t epoch = 0;
  size_t next = 0;  ///< in the order of the epoch
  bool done = false;

  double progress() const { return (static_cast<double>(written) + phase) / quota; }
};

/// Fisher-Yates from a stream of its own for each domain and epoch.
void shuffle(Domain& domain, size_t number, uint64_t seed) {
  Rng rng(seed, stream_of(RandomStream::mixture, (static_cast<uint64_t>(number) << 24) + domain.epoch + 1));
  for (size_t i = domain.items.size(); i > 1; --i) std::swap(domain.items[i - 1], domain.items[rng.below(i)]);
}

std::string stem(const std::string& path) {
  if (path == "-") return "stdin";
  const std::string name = std::filesystem::path(path).filename().string();
  return name.substr(0, name.find('.'));
}

class Mixer {
 public:
  Mixer(const MixOptions& options, uint64_t seed) : options_(options), seed_(seed) {
    double sum = 0;
    for (const auto& [name, weight] : options.weights) sum += weight;
    for (const auto& [name, weight] : options.weights) {
      index_[name] = domains_.size();
      domains_.push_back(Domain{});
      domains_.back().name = name;
      domains_.back().weight = weight / sum;
    }
  }

  /// Reads all inputs into the spool, by domain. Returns their provenance.
  Json collect(const std::vector<std::string>& inputs, Rejects* rejects, Stats& stats) {
    Json provenance = Json::array();
    progress::Counter progress("read", "records");
    for (const auto& input : inputs) {
      shard::Reader reader({input});
      require_documents(reader);
      for (std::string_view line; reader.next(line); progress.add()) {
        stats.records_in += 1;
        take(line, reader, stem(input), rejects, stats);
      }
      stats.bytes_in += reader.bytes_read();
      const Json own = reader.provenance();  // kept alive while its array is walked
      for (const auto& entry : own.as_array()) provenance.push_back(entry);
    }
    spool_.flush();
    return provenance;
  }

  void write(shard::Writer& writer, Stats& stats) {
    set_quotas();
    for (size_t i = 0; i < domains_.size(); ++i) shuffle(domains_[i], i, seed_);
    progress::Counter progress("mixed", "records");
    while (Domain* domain = pick()) {
      const Item& item = domain->items[domain->next];
      // Taken only if that brings the domain nearer to its quota.
      if (static_cast<double>(domain->written) + item.text_bytes / 2.0 > domain->quota) {
        domain->done = true;
        continue;
      }
      writer.write(spool_.read(item.offset, item.size));
      domain->written += item.text_bytes;
      domain->documents += 1;
      stats.records_out += 1;
      progress.add();
      advance(*domain);
    }
    report(stats);
  }

 private:
  void take(std::string_view line, const shard::Reader& reader, const std::string& file, Rejects* rejects,
            Stats& stats) {
    shard::Document document;
    try {
      document = shard::Document::parse(line, "record");
    } catch (const Error& error) {
      stats.drop(kBadRecord);
      if (rejects != nullptr) rejects->write(bad_record_line(line, error.what()));
      return;
    }
    Domain& domain = domain_of(document, file, reader);
    if (domain.weight == 0) {
      stats.drop("zero_weight");
      return;
    }
    if (line.size() > UINT32_MAX) fail(Kind::input, reader.where(), ": a record larger than 4 GiB");
    // An empty text still counts as a byte, or a domain of such could be repeated without end.
    const auto weight = static_cast<uint32_t>(std::max<size_t>(1, document.text.size()));
    domain.items.push_back({spool_.append(line), static_cast<uint32_t>(line.size()), weight});
    domain.bytes += weight;
  }

  Domain& domain_of(const shard::Document& document, const std::string& file, const shard::Reader& reader) {
    auto found = index_.end();
    if (options_.by != DomainBy::file && !document.source.empty()) found = index_.find(document.source);
    if (found == index_.end() && options_.by != DomainBy::source) found = index_.find(file);
    if (found != index_.end()) return domains_[found->second];
    const auto& name = options_.by == DomainBy::file || document.source.empty() ? file : document.source;
    fail(Kind::input, reader.where(), ": no weight for domain ", in_quotes(name),
         "; name it in --weights (0 leaves it out)");
  }

  /// Without a budget: the largest mix that meets all weights. With one: each domain's share, as far as it
  /// goes.
  void set_quotas() {
    double total = static_cast<double>(options_.bytes);
    if (options_.bytes == 0) {
      total = std::numeric_limits<double>::infinity();
      for (const auto& domain : domains_) {
        if (domain.weight == 0) continue;
        if (domain.items.empty()) {
          fail(Kind::input, "no documents of domain ", in_quotes(domain.name),
               ": give it weight 0, or a budget (--bytes)");
        }
        total = std::min(total, available(domain) / domain.weight);
      }
    }
    for (size_t i = 0; i < domains_.size(); ++i) {
      Domain& domain = domains_[i];
      domain.quota = std::min(domain.weight * total, available(domain));
      domain.done = domain.items.empty() || domain.quota <= 0;
      if (domain.done) continue;
      Rng rng(seed_, stream_of(RandomStream::mixture, static_cast<uint64_t>(i) << 24));
      domain.phase =
          rng.uniform() * static_cast<double>(domain.bytes) / static_cast<double>(domain.items.size());
    }
    wanted_ = total;
  }

  double available(const Domain& domain) const { return options_.epochs * static_cast<double>(domain.bytes); }

  Domain* pick() {
    Domain* best = nullptr;
    for (auto& domain : domains_) {
      if (!domain.done && (best == nullptr || domain.progress() < best->progress())) best = &domain;
    }
    return best;
  }

  void advance(Domain& domain) {
    if (++domain.next < domain.items.size()) return;
    domain.next = 0;
    domain.epoch += 1;
    shuffle(domain, static_cast<size_t>(&domain - domains_.data()), seed_);
  }

  void report(Stats& stats) const {
    uint64_t written = 0, repeated = 0;
    for (const auto& domain : domains_) written += domain.written;
    Json list = Json::array();
    for (const auto& domain : domains_) {
      const uint64_t used = std::min<uint64_t>(domain.documents, domain.items.size());
      repeated += domain.documents - used;
      if (domain.items.size() > used) stats.drop("over_budget", domain.items.size() - used);
      list.push_back(report_domain(domain, written));
    }
    stats.extra["repeated"] = repeated;
    stats.extra["domains"] = list;
  }

  Json report_domain(const Domain& domain, uint64_t written) const {
    const double share =
        written == 0 ? 0 : static_cast<double>(domain.written) / static_cast<double>(written);
    const double epochs =
        domain.bytes == 0 ? 0 : static_cast<double>(domain.written) / static_cast<double>(domain.bytes);
    const bool short_of = domain.weight * wanted_ > available(domain) * (1 + 1e-9);
    Json json = Json::object();
    json["domain"] = domain.name;
    json["weight"] = domain.weight;
    json["share"] = share;
    json["documents_in"] = static_cast<uint64_t>(domain.items.size());
    json["bytes_in"] = domain.bytes;
    json["documents_out"] = domain.documents;
    json["bytes_out"] = domain.written;
    json["epochs"] = epochs;
    json["exhausted"] = short_of;
    log::info(domain.name, ": weight ", format_fixed(domain.weight, 4), ", share ", format_fixed(share, 4),
              ", ", domain.documents, " documents, ", format_bytes(domain.written), ", ",
              format_fixed(epochs, 2), " epochs");
    if (short_of) {
      log::warn(domain.name, " has ", format_bytes(domain.bytes), ", at most ", options_.epochs,
                " epochs of it: ", format_bytes(static_cast<uint64_t>(domain.weight * wanted_)),
                " were wanted; raise --epochs, lower its weight or the budget");
    }
    return json;
  }

  const MixOptions& options_;
  uint64_t seed_;
  std::map<std::string, size_t> index_;
  std::vector<Domain> domains_;
  Spool spool_;
  double wanted_ = 0;
};

void add_weight(std::vector<std::pair<std::string, double>>& weights, std::string_view domain,
                std::optional<double> weight, const std::string& path) {
  if (!weight || !(*weight >= 0) || !std::isfinite(*weight)) {
    fail(Kind::usage, path, ": the weight of ", in_quotes(domain), " is no number from 0 up");
  }
  const auto same = [&](const auto& entry) { return entry.first == domain; };
  if (std::any_of(weights.begin(), weights.end(), same))
    fail(Kind::usage, path, ": ", in_quotes(domain), " is given twice");
  weights.emplace_back(domain, *weight);
}

}  // namespace

std::vector<std::pair<std::string, double>> read_weights(const std::string& path) {
  const std::string content = read_file(path, 16 << 20);
  std::vector<std::pair<std::string, double>> weights;
  if (strip(content).starts_with('{')) {
    const Json json = Json::parse(content, path);
    for (const auto& [domain, weight] : json.as_object()) {
      add_weight(weights, domain, weight.is_number() ? std::optional(weight.as_double()) : std::nullopt,
                 path);
    }
  } else {
    for (const auto raw : split(content, '\n')) {
      const auto line = strip(raw);
      if (line.empty() || line.front() == '#') continue;
      const size_t gap = line.find_last_of("\t ");
      if (gap == std::string_view::npos)
        fail(Kind::usage, path, ": ", in_quotes(line), " is no \"domain <tab> weight\"");
      add_weight(weights, strip(line.substr(0, gap)), parse_double(line.substr(gap + 1)), path);
    }
  }
  const auto positive = [](const auto& entry) { return entry.second > 0; };
  if (std::none_of(weights.begin(), weights.end(), positive))
    fail(Kind::usage, path, ": no domain with a weight above 0");
  return weights;
}

Stats mix(const std::vector<std::string>& inputs, shard::Writer& writer, Rejects* rejects,
          const MixOptions& options, uint64_t seed) {
  if (!(options.epochs > 0) || !std::isfinite(options.epochs))
    fail(Kind::usage, "--epochs is a number above 0");
  Stats stats;
  Mixer mixer(options, seed);
  const Json provenance = mixer.collect(inputs, rejects, stats);
  mixer.write(writer, stats);
  writer.close(provenance);
  if (rejects != nullptr) rejects->close(provenance);
  stats.bytes_out = writer.bytes_written();
  return stats;
}

Json to_json(const MixOptions& options) {
  static constexpr std::array<const char*, 3> kNames = {"automatic", "source", "file"};
  Json weights = Json::object();
  for (const auto& [domain, weight] : options.weights) weights[domain] = weight;
  Json json = Json::object();
  json["weights"] = weights;
  json["epochs"] = options.epochs;
  json["bytes"] = options.bytes;
  json["domain"] = kNames[static_cast<size_t>(options.by)];
  return json;
}

}  // namespace gristmill::curate
