/// What a form has done. The page that the form's redirect leads to shows it. The URL holds only a raw value, so a link
/// can't make the page show any other text.
enum Done: String {
    case rules, revoked, sent, added, removed, unlisted, performed, webhook, deleted, tested, domain, checked
    case templateSaved = "template"
    case templateDeleted = "template-deleted"

    init?(_ query: Form) { self.init(rawValue: query["done"]) }

    var html: HTML {
        switch self {
        case .rules: "The rules are changed. They apply from now on, on open connections too."
        case .revoked: "The key is revoked. From now on, no message with it is accepted."
        case .sent: "The test message is in the queue. Its progress is shown here."
        case .added: "The address is on the list. From now on, no mail is sent to it."
        case .removed: "The address is off the list. Mail is sent to it again."
        case .unlisted: "The address was not on the list."
        case .performed: "Done. The message's state is shown here."
        case .webhook: "The webhook is changed."
        case .deleted: "The webhook is deleted."
        case .domain: "The domain is added. Its records are listed below."
        case .checked: "Checked again. The result is shown here."
        case .templateSaved: "The template is saved."
        case .templateDeleted: "The template is deleted. Requests that name it are refused from now on."
        case .tested: "A test event is in the queue. The receiver's response is shown here."
        }
    }

    func at(_ path: String) -> String { link(path, [("done", rawValue)]) }
}
