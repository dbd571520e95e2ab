// JavaMail (libmail-java). SES quotes its error messages, and applications in Java read mail with it.
import java.io.BufferedInputStream;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Properties;
import java.util.TreeSet;
import javax.mail.Address;
import javax.mail.Session;
import javax.mail.internet.AddressException;
import javax.mail.internet.InternetAddress;
import javax.mail.internet.MimeMessage;
import javax.mail.internet.MimeUtility;

public class Read {
    public static void main(String[] arguments) throws Exception {
        DataInputStream input = new DataInputStream(new BufferedInputStream(System.in));
        PrintStream output = new PrintStream(System.out, false, "UTF-8");
        Session session = Session.getInstance(new Properties());
        while (true) {
            byte[] body;
            try {
                body = new byte[input.readInt()];
            } catch (EOFException end) {
                break;
            }
            input.readFully(body);
            ByteArrayOutputStream message = new ByteArrayOutputStream();
            message.writeBytes("From: ".getBytes());
            message.writeBytes(body);
            message.writeBytes("\r\n\r\n".getBytes());
            MimeMessage parsed = new MimeMessage(session, new ByteArrayInputStream(message.toByteArray()));
            TreeSet<String> found = new TreeSet<>();
            String one = "none";
            try {
                Address[] from = parsed.getFrom();
                if (from != null && from.length == 1) {
                    InternetAddress mailbox = (InternetAddress) from[0];
                    mailbox.validate();
                    if (!mailbox.isGroup()) one = hexadecimal(mailbox.getAddress());
                }
            } catch (AddressException refused) {
                // The result stays "none".
            }
            for (String text : new String[] {
                new String(body, StandardCharsets.ISO_8859_1), new String(body, StandardCharsets.UTF_8)
            }) {
                String unfolded = MimeUtility.unfold(text);
                add(text, found);
                add(unfolded, found);
                try {
                    add(MimeUtility.decodeText(unfolded), found);
                } catch (Exception unknown) {
                    // JavaMail does not know the charset.
                }
            }
            output.print(one);
            for (String address : found) output.print(' ' + hexadecimal(address));
            output.println();
        }
        output.flush();
    }

    private static String hexadecimal(String address) {
        StringBuilder digits = new StringBuilder();
        for (byte octet : address.getBytes(StandardCharsets.UTF_8)) digits.append(String.format("%02x", octet));
        return digits.toString();
    }

    private static void add(String text, TreeSet<String> found) {
        for (boolean isStrict : new boolean[] {true, false}) {
            try {
                for (InternetAddress address : InternetAddress.parseHeader(text, isStrict)) add(address, found);
            } catch (AddressException refused) {
                // JavaMail finds nothing in this case.
            }
            try {
                for (InternetAddress address : InternetAddress.parse(text, isStrict)) add(address, found);
            } catch (AddressException refused) {
                // JavaMail finds nothing in this case.
            }
        }
    }

    // An address that does not validate is not an address, and is left out.
    private static void add(InternetAddress address, TreeSet<String> found) {
        try {
            address.validate();
            found.add(address.getAddress());
        } catch (AddressException refused) {
            // Lenient parsing can return text that is not an address.
        }
    }
}
