<?php
// Runs verify.php over the vectors: php vectors.php DIRECTORY AUTOLOADER. Prints
// for each what became of it, as one line of JSON.

require $argv[2];
require __DIR__ . '/verify.php';

use Firebase\JWT\JWK;
use Firebase\JWT\JWT;

$read = fn ($name) => json_decode(file_get_contents("$argv[1]/$name"), true, 16, JSON_THROW_ON_ERROR);
$keys = JWK::parseKeySet($read('jwks.json'));
foreach ($read('vectors.json')['vectors'] as $v) {
    JWT::$timestamp = $v['now'];
    $why = '';
    try {
        verify($v['assertion'], $keys, $v['issuer'], $v['audience'], $v['skew']);
    } catch (Throwable $error) {
        $why = get_class($error) . ': ' . $error->getMessage();
    }
    echo json_encode(['name' => $v['name'], 'taken' => $why === '', 'why' => $why], JSON_INVALID_UTF8_SUBSTITUTE), "\n";
}
