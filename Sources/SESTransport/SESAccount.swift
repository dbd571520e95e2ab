import RelayCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension SendQuota {
    /// Reads the JSON of GetAccount's answer. Nil when the JSON has no quota.
    init?(account body: [UInt8]) {
        guard let quota = try? JSONDecoder().decode(AccountDocument.self, from: Data(body)).quota,
            quota.maximumRate > 0, quota.maximumRate.isFinite
        else { return nil }
        // SES writes -1 when there is no limit.
        let daily = quota.maximum24Hours.flatMap { $0 < 0 ? nil : $0 }
        self.init(
            maximumRate: quota.maximumRate, maximum24Hours: daily, sentLast24Hours: max(0, quota.sentLast24Hours ?? 0))
    }
}

private struct AccountDocument: Decodable {
    struct Quota: Decodable {
        var maximumRate: Double
        var maximum24Hours: Double?
        var sentLast24Hours: Double?

        enum CodingKeys: String, CodingKey {
            case maximumRate = "MaxSendRate"
            case maximum24Hours = "Max24HourSend"
            case sentLast24Hours = "SentLast24Hours"
        }
    }

    var quota: Quota

    enum CodingKeys: String, CodingKey { case quota = "SendQuota" }
}
