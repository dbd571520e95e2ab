/// What a form has done, told by the page that its answer leads to. It is a word in the URL, so the page says nothing that is not here.
enum Done: String {
    case rules, revoked, sent, added, removed, unlisted, steered, webhook, deleted, tested, domain, checked

    init?(_ query: Form) { self.init(rawValue: query["done"]) }

    var html: HTML {
        switch self {
        case .rules: "The rules are changed. They count from now on, on open connections too."
        case .revoked: "The key is revoked. No message of it is accepted from now on."
        case .sent: "The test message is in the queue. What becomes of it is shown here."
        case .added: "The address is on the list. It gets no mail from now on."
        case .removed: "The address is off the list. It gets mail again."
        case .unlisted: "The address was not on the list."
        case .steered: "Done. The message's state is shown here."
        case .webhook: "The webhook is changed."
        case .deleted: "The webhook is deleted."
        case .domain: "The domain is there. Its records are below."
        case .checked: "Checked again. What was found is shown here."
        case .tested: "A test event is on its way. What the receiver answers is shown here."
        }
    }

    func at(_ path: String) -> String { link(path, [("done", rawValue)]) }
}
