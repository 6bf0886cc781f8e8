# For every member, before the own scripts: what exim-external has marked as spam goes to Junk. The own scripts do
# not see it then, so that spam gets no vacation reply.

require ["fileinto", "mailbox"];

if anyof (header :is "X-Spam-Flag" "YES", header :is "X-Spam" "Yes") {
    fileinto :create "Junk";
}
