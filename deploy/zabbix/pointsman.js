// The script of the media type in pointsman.yaml, which holds the same lines; a test holds them together.
// It runs in the Zabbix server. Whatever is thrown makes the attempt fail, and Zabbix tries again.
try {
    var params = JSON.parse(value),
        url = params.pointsman_url,
        secret = params.pointsman_secret,
        token = params.pointsman_token,
        sentAt = String(Math.floor(Date.now() / 1000)),
        isSet = function (text) {
            return typeof text === 'string' && text !== '' && text.indexOf('{$') !== 0;
        };
    delete params.pointsman_url;
    delete params.pointsman_secret;
    delete params.pointsman_token;
    if (!isSet(url)) {
        throw 'the global macro {$POINTSMAN.URL} is not set';
    }
    // Zabbix does not say in which zone its times are: with this their age can be told.
    params.sent_at = sentAt;
    // ASCII only: what is signed is what is sent, whatever the letters.
    var body = JSON.stringify(params).replace(/[\u007f-\uffff]/g, function (letter) {
            return '\\u' + ('0000' + letter.charCodeAt(0).toString(16)).slice(-4);
        }),
        request = new HttpRequest();
    request.addHeader('Content-Type: application/json');
    if (isSet(secret)) {
        request.addHeader('X-Pointsman-Signature: t=' + sentAt + ',v1=' + hmac('sha256', secret, sentAt + '.' + body));
    } else if (isSet(token)) {
        request.addHeader('Authorization: Bearer ' + token);
    } else {
        throw 'neither the global macro {$POINTSMAN.SECRET} nor {$POINTSMAN.TOKEN} is set';
    }
    var answer = request.post(url.replace(/\/+$/, '') + '/hooks/zabbix', body),
        status = request.getStatus();
    if (status !== 200) {
        throw 'Pointsman answered ' + status + ': ' + answer;
    }
    return JSON.stringify({tags: {pointsman: 'delivered'}});
} catch (error) {
    Zabbix.log(3, '[Pointsman] ' + error);
    throw 'Pointsman was not told: ' + error;
}
